"""What a device with a TPM sends: public areas, certificates, statements, the event log."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelkeep.posture.certificates import LARGEST_CERTIFICATE, MOST_CERTIFICATES
from modelkeep.posture.tpm2 import attest, event_log, public_area
from modelkeep.posture.tpm2.attest import PCRS, Signed
from modelkeep.posture.tpm2.credential import SECRET_BYTES
from modelkeep.record import Record

STATEMENTS = ("certified", "created", "quoted")

_DIGEST_BYTES = 32
_LARGEST_SIGNATURE = 128


@dataclass(frozen=True, slots=True)
class TpmEvidence:
    """Evidence of a TPM, as it was sent: nothing of it is believed yet.

    Attributes:
        device: TPMT_PUBLIC of the device's key.
        endorsement: TPMT_PUBLIC of the endorsement key.
        certificates: its certificate in DER, and what leads to a root; empty where there is none.
        attester: TPMT_PUBLIC of the key that signs statements; empty without.
        opened: what the TPM found in the credentials, by what they are bound to.
        certified: that the TPM holds the device's key, by the attester.
        created: that the TPM made the device's key, by the attester.
        quoted: PCR values, by the attester.
        pcrs: the values that are quoted (32 bytes each, SHA-256 bank).
        log: event log; may be empty.
    """

    device: bytes
    endorsement: bytes
    certificates: tuple[bytes, ...] = ()
    attester: bytes = b""
    opened: Mapping[str, bytes] = field(default_factory=dict)
    certified: Signed | None = None
    created: Signed | None = None
    quoted: Signed | None = None
    pcrs: Mapping[int, bytes] = field(default_factory=dict)
    log: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Returns the member of an evidence document."""
        return {
            "device": _text(self.device),
            "endorsement": _text(self.endorsement),
            "certificates": [_text(each) for each in self.certificates],
            "attester": _text(self.attester),
            "opened": {name: each.hex() for name, each in self.opened.items()},
            "pcrs": {str(index): value.hex() for index, value in self.pcrs.items()},
            "log": _text(self.log),
            **{name: _signed(each) for name in STATEMENTS if (each := getattr(self, name)) is not None},
        }

    @staticmethod
    def from_record(record: Record) -> TpmEvidence:
        """Reads the member.

        Raises:
            MalformedError: not of this form.
        """
        with record:
            return TpmEvidence(
                device=record.base64("device", longest=public_area.LARGEST),
                endorsement=record.base64("endorsement", longest=public_area.LARGEST),
                certificates=base64_items(record, "certificates"),
                attester=record.base64("attester", longest=public_area.LARGEST),
                opened=_opened(record.object("opened")),
                pcrs=_pcrs(record.object("pcrs")),
                log=record.base64("log", longest=event_log.LARGEST_LOG),
                **{name: _read_signed(record.object(name)) for name in STATEMENTS if name in record},
            )


def base64_items(record: Record, name: str) -> tuple[bytes, ...]:
    """Takes an array of certificates in base64.

    Raises:
        MalformedError: not of this form.
    """
    items = record.items(name, longest=MOST_CERTIFICATES)
    each = Record({str(place): item for place, item in enumerate(items)}, name)
    return tuple(each.base64(str(place), longest=LARGEST_CERTIFICATE) for place in range(len(items)))


def _opened(record: Record) -> dict[str, bytes]:
    with record:
        names = [name for name in ("device", "attester") if name in record]
        return {name: record.hexadecimal(name, SECRET_BYTES) for name in names}


def _pcrs(record: Record) -> dict[int, bytes]:
    with record:
        indexes = [index for index in range(PCRS) if str(index) in record]
        return {index: record.hexadecimal(str(index), _DIGEST_BYTES) for index in indexes}


def _read_signed(record: Record) -> Signed:
    with record:
        return Signed(
            record.base64("attested", longest=attest.LARGEST),
            record.base64("signature", longest=_LARGEST_SIGNATURE),
        )


def _signed(signed: Signed) -> dict[str, str]:
    return {"attested": _text(signed.attested), "signature": _text(signed.signature)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
