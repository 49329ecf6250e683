"""What is wrong with an input, as the caller is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which an input breaks its contract.

    Attributes:
        code: stable reason code, for example ``dtype`` or ``not-finite``.
        input: name of the input, or ``*`` when it concerns the set of inputs.
        expected: what the contract asks for, in words.
        found: what was there, in words; never the input's values.
    """

    code: str
    input: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.input}: {self.code}: expected {self.expected}, found {self.found}"
