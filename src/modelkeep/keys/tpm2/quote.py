"""Quotes: PCR values that a TPM vouches for, made here and checked anywhere.

Checking needs no TPM and no TPM library. It proves what some key signed; that the key is in a
TPM, and in whose, is what the key's certificate has to prove.
Source: TPM 2.0 Library, Part 2, "TPMS_ATTEST".
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import MalformedError, PostureError, SignatureError, UsageError
from modelkeep.keys.tpm2.policy import selection

NONCE_BYTES = 32

_MAGIC, _TYPE_QUOTE = 0xFF544347, 0x8018
_FRONT = struct.Struct(">IH")
# Clock, reset count, restart count, safe, firmware version.
_CLOCK = struct.Struct(">QIIBQ")
_LARGEST_FIELD = 1024


@dataclass(frozen=True, slots=True)
class Quote:
    """What a TPM signed.

    Attributes:
        attested: the marshalled TPMS_ATTEST.
        signature: ECDSA in DER over its SHA-256.
    """

    attested: bytes
    signature: bytes


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
    try:
        key.verify(quote.signature, quote.attested, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise SignatureError("the quote is not signed by this device's key") from None
    found_nonce, found = _parse(quote.attested)
    if not hmac.compare_digest(found_nonce, nonce):
        raise SignatureError("the quote was made for another question", hint="ask the device again")
    pcrs = tuple(sorted(values))
    composite = hashlib.sha256(b"".join(values[index] for index in pcrs)).digest()
    if found != selection(pcrs) + _sized(composite):
        raise PostureError("the device is in another state (PCR values) than expected")


def _parse(attested: bytes) -> tuple[bytes, bytes]:
    """Returns the nonce, and what follows the clock: PCR selection and digest."""
    if len(attested) > _LARGEST_FIELD or len(attested) < _FRONT.size:
        raise MalformedError("quote: not of a quote's size")
    if _FRONT.unpack_from(attested) != (_MAGIC, _TYPE_QUOTE):
        raise MalformedError("quote: the TPM signed something else")
    _, rest = _field(attested[_FRONT.size :])
    nonce, rest = _field(rest)
    if len(rest) < _CLOCK.size:
        raise MalformedError("quote: cut off")
    return nonce, rest[_CLOCK.size :]


def _field(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:2], "big")
    if len(data) < 2 + size:
        raise MalformedError("quote: cut off")
    return data[2 : 2 + size], data[2 + size :]


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
