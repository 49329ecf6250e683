"""The document in which a device shows what it is. Source: spec/posture-v1.md section 3."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical
from modelkeep.errors import MalformedError
from modelkeep.posture.challenge import NONCE_BYTES
from modelkeep.posture.finding import FindingValue
from modelkeep.posture.tpm2.evidence import TpmEvidence, base64_items
from modelkeep.record import Record

LARGEST_EVIDENCE = 2**20
POINT_BYTES = 65

_FORMAT, _VERSION = "modelkeep/evidence", 1
_MOST_CLAIMS, _MOST_ITEMS = 64, 64


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a device sent: nothing of it is believed yet.

    Attributes:
        device_key: the device's public key (65 bytes, uncompressed point), which everything is about.
        nonce: nonce of the question that it answers; None where nobody asked.
        tpm: evidence of a TPM, or None.
        android: certificates of an attested key in DER, key first; empty without.
        claims: what the device says of itself.
    """

    device_key: bytes
    nonce: bytes | None = None
    tpm: TpmEvidence | None = None
    android: tuple[bytes, ...] = ()
    claims: Mapping[str, FindingValue] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Returns the document."""
        return canonical.encode(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns the document as a JSON object."""
        members: dict[str, Any] = {
            "format": _FORMAT,
            "version": _VERSION,
            "device_key": base64.b64encode(self.device_key).decode(),
            "claims": {
                name: list(each) if isinstance(each, tuple) else each for name, each in self.claims.items()
            },
        }
        if self.nonce is not None:
            members["nonce"] = self.nonce.hex()
        if self.tpm is not None:
            members["tpm2"] = self.tpm.to_json()
        if self.android:
            members["android"] = [base64.b64encode(each).decode() for each in self.android]
        return members

    @staticmethod
    def from_bytes(data: bytes) -> Evidence:
        """Reads the document.

        Raises:
            MalformedError: not such a document.
            UnsupportedVersionError: of a newer version.
        """
        if len(data) > LARGEST_EVIDENCE:
            raise MalformedError(f"evidence: larger than {LARGEST_EVIDENCE} bytes")
        return Evidence.from_json(canonical.decode(data, "evidence"))

    @staticmethod
    def from_json(value: object) -> Evidence:
        """Reads the document from a parsed JSON object; raises as `from_bytes`."""
        with Record(value, "evidence") as record:
            record.check_format(_FORMAT, _VERSION)
            return Evidence(
                device_key=_point(record),
                nonce=record.hexadecimal("nonce", NONCE_BYTES) if "nonce" in record else None,
                tpm=TpmEvidence.from_record(record.object("tpm2")) if "tpm2" in record else None,
                android=_chain(record) if "android" in record else (),
                claims=_claims(record.anything("claims")),
            )


def _point(record: Record) -> bytes:
    point = record.base64("device_key", longest=POINT_BYTES)
    try:
        if len(point) != POINT_BYTES:
            raise ValueError
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise record.fault("device_key", "is no point on P-256") from None
    return point


def _chain(record: Record) -> tuple[bytes, ...]:
    chain = base64_items(record, "android")
    if not chain:
        raise record.fault("android", "is empty")
    return chain


def _claims(value: object) -> dict[str, FindingValue]:
    if not isinstance(value, dict) or len(value) > _MOST_CLAIMS:
        raise MalformedError(f"evidence: claims must be an object of at most {_MOST_CLAIMS} members")
    return {name: _claim(name, each) for name, each in value.items()}


def _claim(name: str, value: object) -> FindingValue:
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, list) and len(value) <= _MOST_ITEMS and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise MalformedError(f"evidence: claim {name[:64]!r} is of a kind that is not known here")
