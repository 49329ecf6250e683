"""One thing that a look at a model has shown, or has not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from modelkeep.visible import visible

LONGEST_QUOTE = 200


class Standing(Enum):
    """What a fact is worth, weakest first."""

    NOT_SHOWN = "not shown"
    ADVISORY = "advisory"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was looked at.

    Attributes:
        name: what it is about; `standards.REQUIREMENTS` names facts by it.
        standing: verified by cryptography in this run, merely said by this device, or not shown.
        text: what was found, or why nothing was.
    """

    name: str
    standing: Standing
    text: str

    def to_json(self) -> dict[str, Any]:
        """Returns the fact as an object of JSON."""
        return {"name": self.name, "standing": self.standing.value, "text": self.text}


def verified(name: str, text: str) -> Fact:
    """Returns a fact that cryptography has shown in this run."""
    return Fact(name, Standing.VERIFIED, text)


def advisory(name: str, text: str) -> Fact:
    """Returns a fact that this device says of itself: whoever has root makes it say anything."""
    return Fact(name, Standing.ADVISORY, text)


def not_shown(name: str, text: str) -> Fact:
    """Returns that nothing was found, with the reason."""
    return Fact(name, Standing.NOT_SHOWN, text)


def quoted(text: str) -> str:
    """Returns what somebody else wrote as such: in quotes that it cannot end, on one line, and short."""
    shown = "".join(map(_within_quotes, text[:LONGEST_QUOTE]))
    return f"'{shown}{'...' if len(text) > LONGEST_QUOTE else ''}'"


def _within_quotes(character: str) -> str:
    return f"\\{character}" if character in "'\\" else visible(character)
