"""Structures of the TPM as bytes: big-endian, sized fields. Source: TPM 2.0 Library, Part 2."""

from __future__ import annotations

import struct
from typing import Any

from modelkeep.errors import MalformedError


class Reader:
    """Takes fields off the front of a structure."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what

    def fault(self, problem: str) -> MalformedError:
        """Returns the error that says what is wrong with the structure."""
        return MalformedError(f"{self._what}: {problem}")

    def numbers(self, form: str) -> tuple[Any, ...]:
        """Takes numbers; `form` is that of `struct`, big-endian."""
        return struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))

    def number(self, form: str = "H") -> int:
        """Takes one number."""
        return int(self.numbers(form)[0])

    def sized(self) -> bytes:
        """Takes a field that begins with its size, a TPM2B."""
        return self.take(self.number())

    def take(self, count: int) -> bytes:
        """Takes bytes."""
        taken, self._data = self._data[:count], self._data[count:]
        if len(taken) != count:
            raise self.fault("cut off")
        return taken

    def end(self) -> None:
        """Refuses what is left.

        Raises:
            MalformedError: there is something.
        """
        if self._data:
            raise self.fault("bytes follow its end")


def sized(data: bytes) -> bytes:
    """Returns a field with its size before it, a TPM2B."""
    return struct.pack(">H", len(data)) + data
