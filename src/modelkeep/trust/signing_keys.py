"""Making keys that sign, by kind.

signing, signing-p384, signing-p521   a publisher's ECDSA key, for bundles and grants
root, root-p384, root-p521            an ECDSA key for trust files, roots documents and tickets
operator, operator-p384, operator-p521 an ECDSA key for rosters of devices
channel, channel-p384, channel-p521   an ECDSA key for one role of a repository of releases
plain, plain-p384, plain-p521         an ECDSA key for plain files, as `openssl dgst` signs them
approving                             an authority's ECDSA key, for PCR values of TPMs
ml-dsa-65                             a second signer's key (FIPS 204)
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from modelkeep import public_key
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.trust import private_key

SECOND_KIND = "ml-dsa-65"
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "": ec.SECP256R1,
    "-p256": ec.SECP256R1,
    "-p384": ec.SECP384R1,
    "-p521": ec.SECP521R1,
}
_APPROVING = "approving"
_PURPOSES = {
    "signing": Purpose.BUNDLE,
    "root": Purpose.ROOT,
    "operator": Purpose.OPERATOR,
    "channel": Purpose.CHANNEL,
    "plain": Purpose.PLAIN,
}
# A TPM verifies approvals itself, on P-256 alone.
SIGNING_KINDS = (
    *(purpose + curve for purpose in _PURPOSES for curve in _CURVES),
    _APPROVING,
    SECOND_KIND,
)


def create_signing_key(
    path: str | os.PathLike[str],
    kind: str = "signing",
    *,
    passphrase: bytes | None = None,
    force: bool = False,
) -> bytes:
    """Writes a new private key as PKCS #8 PEM, mode 0600, and returns its public key as PEM.

    Args:
        path: where the private key goes.
        kind: one of `SIGNING_KINDS`.
        passphrase: encrypts the file when given.
        force: replace an existing file.

    Raises:
        UsageError: no such kind, an empty passphrase, or the file exists.
        StorageError: the file cannot be written.
    """
    if kind not in SIGNING_KINDS:
        raise UsageError(
            f"no such kind of signing key: {kind[:64]!r}", hint=f"choose one of {', '.join(SIGNING_KINDS)}"
        )
    key, purpose = _generate(kind)
    private_key.write(path, key, purpose, passphrase, force=force)
    return public_key.to_pem(key.public_key())


def _generate(kind: str) -> tuple[ec.EllipticCurvePrivateKey | MLDSA65PrivateKey, Purpose]:
    if kind == SECOND_KIND:
        return MLDSA65PrivateKey.generate(), Purpose.BUNDLE
    if kind == _APPROVING:
        return ec.generate_private_key(ec.SECP256R1()), Purpose.APPROVE
    purpose, dash, curve = kind.partition("-")
    return ec.generate_private_key(_CURVES[dash + curve]()), _PURPOSES[purpose]
