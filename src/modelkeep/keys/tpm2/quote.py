"""Quotes of a key that one knows: PCR values that a TPM vouches for, checked anywhere.

It proves what some key signed; that the key is in a TPM, and in whose, is proven by evidence
(`modelkeep.posture`). Checking needs no TPM and no TPM library.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import UsageError
from modelkeep.posture.tpm2.attest import Kind, Signed, check_quoted, verify

NONCE_BYTES = 32

Quote = Signed


def verify_quote(
    quote: Quote, key: ec.EllipticCurvePublicKey, nonce: bytes, values: Mapping[int, bytes]
) -> None:
    """Checks that the holder of `key` saw these PCR values after it was given `nonce`.

    Args:
        quote: what the device sent.
        key: the device's quoting key.
        nonce: what the device was asked with, chosen at random for this once.
        values: the PCR values expected (32 bytes each), SHA-256 bank.

    Raises:
        UsageError: `nonce` has not 32 bytes.
        SignatureError: not signed by `key`, or for another nonce.
        MalformedError: signed, but no quote.
        PostureError: other PCRs, or other values.
    """
    if len(nonce) != NONCE_BYTES:
        raise UsageError(f"a nonce has {NONCE_BYTES} bytes")
    check_quoted(verify(quote, key, Kind.QUOTE, nonce), values)
