"""What was found out about a device, and whether hardware vouches for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FindingValue = bool | int | str | tuple[str, ...]


class Standing(Enum):
    """What a finding is worth."""

    PROVEN = "proven"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        name: what it is about, for example ``secure-boot``; spec/posture-v1.md section 7 lists them.
        value: what was found; bytes are written as hexadecimal.
        standing: proven by hardware that is bound to the device's key, or only claimed.
        why: in words, why it is no better than claimed, or what proves it; may be empty.
    """

    name: str
    value: FindingValue
    standing: Standing
    why: str = ""

    @property
    def proven(self) -> bool:
        """Whether hardware vouches for it."""
        return self.standing is Standing.PROVEN

    def __str__(self) -> str:
        return f"{self.name} = {words(self.value)} ({self.standing.value})"


def words(value: FindingValue) -> str:
    """Returns a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def proven(name: str, value: FindingValue, why: str = "") -> Finding:
    """Returns a finding that hardware vouches for."""
    return Finding(name, value, Standing.PROVEN, why)


def claimed(name: str, value: FindingValue, why: str = "") -> Finding:
    """Returns a finding that nobody but the device vouches for."""
    return Finding(name, value, Standing.CLAIMED, why)
