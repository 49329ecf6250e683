"""The certificates of an attested key, from the key up to Google.

Source: Android, "Verify hardware-backed key pairs with key attestation"; where that is silent, the public
verifier android/keyattestation. Differences are in spec/posture-v1.md section 4.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.x509.oid import NameOID

from modelkeep.errors import MalformedError, PostureError, UntrustedSignerError
from modelkeep.posture import certificates
from modelkeep.posture.android.key_description import EXTENSION, KeyDescription
from modelkeep.posture.android.revocations import Revocations

# SHA-256 of the public keys of Google's roots: RSA-4096 (f92009e853b6b045) and P-384 (Key Attestation CA1).
GOOGLE_ROOTS = frozenset(
    map(
        bytes.fromhex,
        (
            "feb2ea7551ee316ed4bb443c8293b884dbfdea40b603ee3e4f4a897e4580fbae",
            "3ee44512a1af2beb39c889490c60ea3f82e43f5d5a5532f5ab9419f676cd07ec",
        ),
    )
)

_FEWEST = 3


@dataclass(frozen=True, slots=True)
class AttestedKey:
    """A key that hardware vouches for.

    Attributes:
        certificate: the key's own certificate.
        description: what the hardware says of it.
    """

    certificate: x509.Certificate
    description: KeyDescription


def verify_chain(
    encoded: Sequence[bytes],
    now: int,
    *,
    roots: Collection[bytes] = GOOGLE_ROOTS,
    revocations: Revocations | None,
) -> AttestedKey:
    """Returns what the chain of a key vouches for.

    Args:
        encoded: certificates in DER as the key store gives them: key first, root last.
        now: seconds since 1970-01-01 UTC.
        roots: SHA-256 of the public keys (SubjectPublicKeyInfo) that are believed.
        revocations: what Google has taken back; None looks nothing up, which the caller has to say.

    Raises:
        MalformedError: not certificates, or an extension that is not in form.
        UntrustedSignerError: another root, or a certificate that may not issue.
        SignatureError: a certificate is not signed by the next.
        ExpiredError: a certificate that is renewed regularly is outside its time.
        PostureError: revoked, or a chain that was lengthened.
    """
    chain = certificates.parse_all(encoded, "key attestation")
    description = _only_description(chain)
    if len(chain) < _FEWEST:
        raise MalformedError(f"key attestation: a chain has at least {_FEWEST} certificates")
    if certificates.fingerprint(chain[-1]) not in roots:
        raise UntrustedSignerError(
            f"the attestation leads to {certificates.name_of(chain[-1])}, no root of ours"
        )
    for certificate, issuer in pairwise(chain):
        certificates.check_signed(certificate, issuer)
    _check_authorities(chain)
    _check_times(chain, now)
    if revocations is not None:
        revocations.check(chain)
    return AttestedKey(chain[0], description)


def _only_description(chain: Sequence[x509.Certificate]) -> KeyDescription:
    # An application can sign with a key that is attested. What that key signs must not pass for the
    # hardware's word, so the extension counts in one place: the first certificate, and no other has it.
    values = [certificates.extension(certificate, EXTENSION) for certificate in chain]
    if values[0] is None:
        raise PostureError("the key's certificate has no attestation")
    if any(value is not None for value in values[1:]):
        raise PostureError("the chain goes on below an attested key: that key's owner made the rest")
    return KeyDescription.parse(values[0])


def _check_authorities(chain: Sequence[x509.Certificate]) -> None:
    # Some makers deny that the certificate next to the key is an authority; what it may sign is known.
    for certificate in chain[2:]:
        if not certificates.constraints_of(certificate).ca:
            raise UntrustedSignerError(
                f"certificate {certificates.name_of(certificate)} may not issue others"
            )


def _check_times(chain: Sequence[x509.Certificate], now: int) -> None:
    # The key's own times are the device's word. Keys that were put in at the factory cannot be
    # renewed, so Google's rule is that the end of their certificates does not count.
    for certificate in chain[1:-1]:
        begin = int(certificate.not_valid_before_utc.timestamp())
        certificates.check_time(certificate, begin if _from_factory(chain) and now > begin else now)


def _from_factory(chain: Sequence[x509.Certificate]) -> bool:
    return bool(chain[-2].subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER))
