"""A source that is read once from front to end, and that passes over what is there already."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from modelkeep.container.tape import CanFill
from modelkeep.errors import MalformedError, UnavailableError
from modelkeep.updates.source import Source

# Below this, reading on costs less than beginning anew further down.
SHORTEST_JUMP = 2**20
_PIECE = 2**16


class SourceStream:
    """The bytes of a source, of which some are never asked for; a context manager.

    Attributes:
        fetched: how many bytes came.
    """

    def __init__(self, source: Source) -> None:
        """Opens the source.

        Raises:
            UnavailableError: it cannot be reached or read.
        """
        self._source = source
        self._open(0)
        self._tag = source.tag
        self.fetched = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def read(self, size: int, /) -> bytes | None:
        """Returns at least one byte and at most `size`, nothing at the end."""
        piece = self._stream.read(size)
        count = len(piece or b"")
        self._position += count
        self.fetched += count
        return piece

    def readinto(self, view: memoryview, /) -> int | None:
        """Fills at least one byte of `view`; returns how many, 0 at the end."""
        if self._filling is not None:
            count = self._filling.readinto(view)
        else:
            piece = self._stream.read(len(view))
            count = None if piece is None else len(piece)
            view[: count or 0] = piece or b""
        self._position += count or 0
        self.fetched += count or 0
        return count

    def skip(self, size: int, /) -> None:
        """Goes on behind the next `size` bytes.

        Raises:
            MalformedError: there are not so many.
            UnavailableError: it cannot be read from there, or is another one by now.
        """
        if self._source.can_seek and size >= SHORTEST_JUMP:
            self._jump(self._position + size)
            return
        end = self._position + size
        while self._position < end:
            if not self.read(min(end - self._position, _PIECE)):
                raise MalformedError("bundle: cut short")

    def _open(self, position: int) -> None:
        self._stream = self._source.open(position)
        # Asked once: of a protocol, Python looks at every member each time.
        self._filling = self._stream if isinstance(self._stream, CanFill) else None
        self._position = position

    def _jump(self, position: int) -> None:
        self._stream.close()
        self._open(position)
        if self._source.tag != self._tag:
            raise UnavailableError(f"{self._source.name}: was exchanged meanwhile", hint="begin again")
