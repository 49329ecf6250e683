"""A question to a device: what its hardware is to prove, and whether it holds the key that it replaces.

Source: spec/granter-v1.md, "Questions".
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from modelkeep import canonical
from modelkeep.errors import MalformedError
from modelkeep.grants.grant import LARGEST_GRANT, Grant
from modelkeep.posture.challenge import Challenge
from modelkeep.record import Record

FORMAT, VERSION = "modelkeep/question", 1
LARGEST_QUESTION = 65_536


@dataclass(frozen=True, slots=True)
class Question:
    """What a device is asked; it is no secret.

    Attributes:
        challenge: with nonce and asker, and what only a certain TPM opens.
        handover: what only the key that is replaced opens, or None.
    """

    challenge: Challenge
    handover: Grant | None = None

    def to_bytes(self) -> bytes:
        """Returns the document."""
        members: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "challenge": self.challenge.to_json(),
        }
        if self.handover is not None:
            members["handover"] = base64.b64encode(self.handover.to_bytes()).decode()
        return canonical.encode(members)

    @staticmethod
    def from_bytes(data: bytes) -> Question:
        """Reads the document.

        Raises:
            MalformedError: not such a document.
            UnsupportedVersionError: of a newer version.
        """
        if len(data) > LARGEST_QUESTION:
            raise MalformedError(f"question: larger than {LARGEST_QUESTION} bytes")
        with Record(canonical.decode(data, "question"), "question") as record:
            record.check_format(FORMAT, VERSION)
            challenge = Challenge.from_json(record.anything("challenge"))
            if "handover" not in record:
                return Question(challenge)
            return Question(challenge, Grant.from_bytes(record.base64("handover", longest=LARGEST_GRANT)))
