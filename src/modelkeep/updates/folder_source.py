"""A bundle in its folder form, given as the archive that it would be."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

from modelkeep.channels.channel import ByteStream
from modelkeep.container import tar
from modelkeep.container.folder import Folder
from modelkeep.container.slots import Slot, lay_out

_PIECE = 2**20


class FolderSource:
    """A bundle as a folder.

    Attributes:
        path: the folder.
    """

    can_seek = True
    tag = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def open(self, offset: int) -> ByteStream:
        """See `Source.open`."""
        folder = Folder(self.path)
        return io.BufferedReader(_Pieces(_from(offset, folder), folder.close), _PIECE)


class _Pieces(io.RawIOBase):
    """A stream made of pieces."""

    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None]) -> None:
        self._pieces, self._close = pieces, close
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._close()
        super().close()


def _from(offset: int, folder: Folder) -> Iterator[bytes]:
    end = 0
    for name, slot in lay_out(folder.sizes).items():
        end = slot.end
        if end > offset:
            yield from _file(folder, name, slot, offset)
    yield tar.END[max(0, offset - end) :]


def _file(folder: Folder, name: str, slot: Slot, offset: int) -> Iterator[bytes]:
    start = slot.data_offset - len(slot.front)
    yield slot.front[max(0, offset - start) :]
    with folder.open(name) as place:
        for position in range(max(0, offset - slot.data_offset), slot.size, _PIECE):
            yield place.part(position, min(_PIECE, slot.size - position)).read()
    padded = slot.data_offset + slot.size
    yield bytes(slot.end - max(padded, min(offset, slot.end)))
