"""What a TPM signs: quotes of PCRs, and that it holds or made an object (TPMS_ATTEST).

Source: TPM 2.0 Library, Part 2, "TPMS_ATTEST".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.errors import PostureError, SignatureError
from modelkeep.posture.tpm2.reader import Reader

LARGEST = 2048
PCRS = 24

_MAGIC = 0xFF544347
_SHA256 = 0x000B
_MOST_BANKS = 4


class Kind(IntEnum):
    """What a statement is about (TPM_ST)."""

    CERTIFY = 0x8017
    QUOTE = 0x8018
    CREATION = 0x801A


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement as it is sent.

    Attributes:
        attested: the marshalled TPMS_ATTEST.
        signature: ECDSA in DER over its SHA-256.
    """

    attested: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Clock:
    """The TPM's own clock when it signed.

    Attributes:
        milliseconds: time that the TPM was on.
        resets: how often it was switched on.
        restarts: how often it resumed since.
        safe: whether the time cannot have been seen before.
        firmware: version of its firmware, as the maker counts.
    """

    milliseconds: int
    resets: int
    restarts: int
    safe: bool
    firmware: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed.

    Attributes:
        clock: when.
        body: what follows: the kind decides its form.
    """

    clock: Clock
    body: Reader


def verify(signed: Signed, key: ec.EllipticCurvePublicKey, kind: Kind, qualifying: bytes) -> Statement:
    """Returns a statement of one kind that `key` signed when asked with `qualifying`.

    Args:
        signed: what the device sent.
        key: public key of a restricted signing key; that it is in a TPM is proven elsewhere.
        kind: the kind of statement that is expected.
        qualifying: what the TPM was asked with.

    Raises:
        SignatureError: not signed by `key`, or for another question.
        MalformedError: signed, but not such a statement.
    """
    try:
        key.verify(signed.signature, signed.attested, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise SignatureError("the statement is not signed by the TPM's attesting key") from None
    return read(signed.attested, kind, qualifying)


def read(attested: bytes, kind: Kind, qualifying: bytes) -> Statement:
    """Returns a statement whose signature is verified; raises as `verify`."""
    reader = Reader(attested, "TPM statement")
    if len(attested) > LARGEST:
        raise reader.fault(f"larger than {LARGEST} bytes")
    if reader.numbers("IH") != (_MAGIC, kind):
        raise reader.fault(f"not of kind {kind.name.lower()}")
    reader.sized()  # the signer's qualified name, which says nothing that the key does not
    if not hmac.compare_digest(reader.sized(), qualifying):
        raise SignatureError("the TPM's statement was made for another question", hint="ask the device again")
    milliseconds, resets, restarts, safe, firmware = reader.numbers("QIIBQ")
    return Statement(Clock(milliseconds, resets, restarts, safe == 1, firmware), reader)


def check_certified(statement: Statement, name: bytes) -> None:
    """Checks that a statement of kind CERTIFY is about the object with this name.

    Raises:
        PostureError: about another one.
        MalformedError: not of this form.
    """
    certified = statement.body.sized()
    statement.body.sized()  # the qualified name
    statement.body.end()
    _check_name(certified, name)


def check_created(statement: Statement, name: bytes) -> None:
    """Checks that a statement of kind CREATION is about the object with this name.

    Raises:
        PostureError: about another one.
        MalformedError: not of this form.
    """
    created = statement.body.sized()
    statement.body.sized()  # the digest of the creation data
    statement.body.end()
    _check_name(created, name)


def check_quoted(statement: Statement, values: Mapping[int, bytes]) -> None:
    """Checks that a statement of kind QUOTE is about these PCRs, all of them and no others.

    Args:
        statement: a verified quote.
        values: values (32 bytes each) of the SHA-256 bank by PCR number.

    Raises:
        PostureError: other PCRs, or other values.
        MalformedError: not of this form.
    """
    selected = _selected(statement.body)
    digest = statement.body.sized()
    statement.body.end()
    if selected != tuple(sorted(values)):
        raise PostureError("the quote is about other PCRs")
    composite = hashlib.sha256(b"".join(values[index] for index in selected)).digest()
    if not hmac.compare_digest(composite, digest):
        raise PostureError("the quote was made over other PCR values")


def _check_name(found: bytes, name: bytes) -> None:
    if not hmac.compare_digest(found, name):
        raise PostureError("the TPM's statement is about another key")


def _selected(reader: Reader) -> tuple[int, ...]:
    count = reader.number("I")
    if count > _MOST_BANKS:
        raise reader.fault("too many banks")
    selected: tuple[int, ...] = ()
    for _ in range(count):
        bank, size = reader.numbers("HB")
        bits = int.from_bytes(reader.take(size), "little")
        if bank != _SHA256 and bits:
            raise reader.fault("quotes another bank than SHA-256")
        if bits >> PCRS or (selected and bits):
            raise reader.fault("selects PCRs in a way that is not known here")
        selected += tuple(index for index in range(PCRS) if bits >> index & 1)
    return selected
