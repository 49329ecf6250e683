"""A byte range of an open file."""

from __future__ import annotations

from typing import NamedTuple

from modelkeep.errors import MalformedError, UnavailableError
from modelkeep.payload.source import read_fully


class Place(NamedTuple):
    """A byte range of an open file.

    Attributes:
        descriptor: open file descriptor.
        offset: first byte.
        size: length in bytes.
    """

    descriptor: int
    offset: int
    size: int

    def part(self, start: int, size: int) -> Place:
        """Returns `size` bytes of this range, from `start` on."""
        return Place(self.descriptor, self.offset + start, size)

    def read(self) -> bytes:
        """Returns the whole range; only for ranges whose size was checked before.

        Raises:
            MalformedError: the file ends before the range does.
            UnavailableError: there is not enough memory.
            OSError: the read failed.
        """
        try:
            return self._read()
        except MemoryError:
            raise UnavailableError(f"not enough memory for {self.size} bytes") from None

    def _read(self) -> bytes:
        data = bytearray(self.size)
        if read_fully(self.descriptor, memoryview(data), self.offset) != self.size:
            raise MalformedError("bundle: the file ends early", hint="it is cut short: fetch it again")
        return bytes(data)
