"""DSSE pre-authentication encoding and ECDSA over it.

Every signature modelkeep makes for its own documents goes through `sign` and `verify`, so that a
signature made for one kind of document can never stand for another: the type is signed too.
Source: DSSE protocol v1.0 (PAE); curve decides the hash as in the Sigstore protobuf specs.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import SignatureError, UsageError

# The TPM itself verifies approvals of PCR values, and knows no encoding: a digest with this behind it.
APPROVAL_LABEL = b"modelkeep/v1/pcr-approval"
APPROVAL_BYTES = 32 + len(APPROVAL_LABEL)
PREFIX = b"DSSEv1 "

# Made once and here: with the first one, pyca/cryptography imports what every verification needs.
_SCHEMES = {
    "secp256r1": ec.ECDSA(hashes.SHA256()),
    "secp384r1": ec.ECDSA(hashes.SHA384()),
    "secp521r1": ec.ECDSA(hashes.SHA512()),
}


class EcdsaSigner(Protocol):
    """Whoever can sign with an elliptic-curve key; hardware and services implement this."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""

    def sign(self, message: bytes) -> bytes:
        """Returns a DER-encoded ECDSA signature over `message`, hashed as `ecdsa_for` says."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Returns the bytes that a DSSE signature covers."""
    return b"%s%d %s %d %s" % (PREFIX, len(payload_type), payload_type.encode(), len(payload), payload)


def ecdsa_for(key: ec.EllipticCurvePublicKey) -> ec.ECDSA:
    """Returns ECDSA with the hash that goes with the key's curve.

    Raises:
        UsageError: the curve is not P-256, P-384 or P-521.
    """
    if key.curve.name not in _SCHEMES:
        raise UsageError(
            f"keys on curve {key.curve.name} are not supported", hint="use P-256, P-384 or P-521"
        )
    return _SCHEMES[key.curve.name]


def verify(key: ec.EllipticCurvePublicKey, signature: bytes, payload_type: str, payload: bytes) -> None:
    """Checks a DSSE signature.

    Raises:
        SignatureError: it does not verify.
    """
    try:
        key.verify(signature, pae(payload_type, payload), ecdsa_for(key))
    except InvalidSignature:
        raise SignatureError("the signature does not verify") from None
