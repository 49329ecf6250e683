"""What a device is asked with, so that its answer is fresh, for one asker, and about one key.

Source: spec/posture-v1.md section 2.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelkeep import canonical
from modelkeep.errors import MalformedError, UsageError
from modelkeep.memory.randomness import random_bytes
from modelkeep.posture.tpm2.credential import SECRET_BYTES, Credential
from modelkeep.record import Record

NONCE_BYTES = 32
LARGEST_CHALLENGE = 16_384
LONGEST_ORIGIN = 256
MOST_CREDENTIALS = 2

_ANSWER_LABEL = b"modelkeep/v1/evidence"
_KEY_LABEL = b"modelkeep/v1/attested-key"
_FORMAT, _VERSION = "modelkeep/challenge", 1
_LARGEST_BLOB = 1024


@dataclass(frozen=True, slots=True)
class Challenge:
    """A question to a device.

    Attributes:
        nonce: 32 random bytes, used for this once.
        origin: who asks, as the device knows it; an answer for another asker does not count.
        made_at: when it was asked, seconds since 1970-01-01 UTC.
        credentials: what the TPM is to open, by what it is bound to: ``device`` or ``attester``.
    """

    nonce: bytes
    origin: str
    made_at: int
    credentials: Mapping[str, Credential] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES:
            raise UsageError(f"a nonce has {NONCE_BYTES} bytes")
        if not 1 <= len(self.origin) <= LONGEST_ORIGIN:
            raise UsageError(f"an origin is a name of 1 to {LONGEST_ORIGIN} characters")

    @staticmethod
    def new(origin: str, now: int) -> Challenge:
        """Returns a question that was never asked before."""
        return Challenge(random_bytes(NONCE_BYTES), origin, now)

    def for_key(self, device_key: bytes) -> bytes:
        """Returns what a TPM signs along with a statement about a device key (65 bytes, a point)."""
        return _digest(_ANSWER_LABEL, self.nonce, self.origin.encode(), device_key)

    @property
    def for_new_key(self) -> bytes:
        """What a key store is given that attests a key while it makes it."""
        return _digest(_KEY_LABEL, self.nonce, self.origin.encode())

    def to_bytes(self) -> bytes:
        """Returns the document that is sent to the device."""
        return canonical.encode(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns the document as a JSON object."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "nonce": self.nonce.hex(),
            "origin": self.origin,
            "made_at": self.made_at,
            "credentials": {name: _credential(each) for name, each in self.credentials.items()},
        }

    @staticmethod
    def from_bytes(data: bytes) -> Challenge:
        """Reads the document.

        Raises:
            MalformedError: not such a document.
            UnsupportedVersionError: of a newer version.
        """
        if len(data) > LARGEST_CHALLENGE:
            raise MalformedError(f"challenge: larger than {LARGEST_CHALLENGE} bytes")
        return Challenge.from_json(canonical.decode(data, "challenge"))

    @staticmethod
    def from_json(value: object) -> Challenge:
        """Reads the document from a parsed JSON object; raises as `from_bytes`."""
        with Record(value, "challenge") as record:
            record.check_format(_FORMAT, _VERSION)
            origin = record.text("origin", longest=LONGEST_ORIGIN)
            if not origin:
                raise record.fault("origin", "is empty")
            return Challenge(
                nonce=record.hexadecimal("nonce", NONCE_BYTES),
                origin=origin,
                made_at=record.integer("made_at"),
                credentials=_credentials(record.object("credentials")),
            )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what only the asker knows; never leaves it.

    Attributes:
        challenge: what was sent.
        secrets: what the TPM finds in the credentials, by what they are bound to.
        names: names of the objects that the credentials are bound to.
        endorsement: public area (TPMT_PUBLIC) of the endorsement key they are encrypted to; empty without.
    """

    challenge: Challenge
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    names: Mapping[str, bytes] = field(default_factory=dict)
    endorsement: bytes = b""

    def to_bytes(self) -> bytes:
        """Returns the document that the asker keeps."""
        return canonical.encode(
            {
                "challenge": self.challenge.to_json(),
                "secrets": {name: each.hex() for name, each in self.secrets.items()},
                "names": {name: _text(each) for name, each in self.names.items()},
                "endorsement": _text(self.endorsement),
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> Asked:
        """Reads what an asker kept.

        Raises:
            MalformedError: not such a document.
        """
        with Record(canonical.decode(data, "kept challenge"), "kept challenge") as record:
            challenge = Challenge.from_json(record.anything("challenge"))
            found, names = record.object("secrets"), record.object("names")
            asked = Asked(
                challenge,
                {name: found.hexadecimal(name, SECRET_BYTES) for name in challenge.credentials},
                {name: names.base64(name, longest=_LARGEST_BLOB) for name in challenge.credentials},
                record.base64("endorsement", longest=2048),
            )
            found.finish()
            names.finish()
            return asked


def _digest(*parts: bytes) -> bytes:
    # With their lengths, so that no two lists of parts are the same bytes.
    return hashlib.sha256(b"".join(struct.pack(">I", len(part)) + part for part in parts)).digest()


def _credentials(record: Record) -> dict[str, Credential]:
    names = [name for name in ("device", "attester") if name in record]
    found = {name: record.object(name) for name in names}
    record.finish()
    return {name: _read_credential(each) for name, each in found.items()}


def _read_credential(record: Record) -> Credential:
    with record:
        return Credential(
            record.base64("blob", longest=_LARGEST_BLOB), record.base64("seed", longest=_LARGEST_BLOB)
        )


def _credential(credential: Credential) -> dict[str, str]:
    return {"blob": _text(credential.blob), "seed": _text(credential.seed)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
