"""The bytes of an archive from front to back: of a file, or of a stream that cannot go back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from modelkeep.errors import MalformedError, StorageError

_PIECE = 2**16
_WINDOW = 2**13


@runtime_checkable
class Readable(Protocol):
    """A binary stream: a pipe, a socket's file, an open file, a download."""

    def read(self, size: int, /) -> bytes | None:
        """Returns at least one byte and at most `size`, nothing at the end."""


@runtime_checkable
class CanFill(Protocol):
    """A stream that writes into the memory of whoever reads it."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Fills at least one byte of `view`; returns how many, 0 at the end."""


@runtime_checkable
class CanSkip(Protocol):
    """A stream that can pass over bytes without giving them."""

    def skip(self, size: int, /) -> None:
        """Goes on behind the next `size` bytes."""


class Tape(Protocol):
    """Where an archive comes from.

    Attributes:
        position: how many bytes lie behind.
    """

    position: int

    def take(self, size: int) -> bytes:
        """Returns the next `size` bytes.

        Raises:
            MalformedError: there are not so many.
            OSError: the read failed.
        """

    def ends(self) -> bool:
        """Returns whether nothing follows."""


class FileTape:
    """A regular file of which only headers are read; contents are skipped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._length = os.fstat(descriptor).st_size
        self._window, self._start = b"", 0
        self.position = 0

    def take(self, size: int) -> bytes:
        """See `Tape.take`."""
        start = self.position - self._start
        if start + size > len(self._window):
            # Headers of small files lie close together: one read serves several.
            self._window = os.pread(self._descriptor, max(size, _WINDOW), self.position)
            self._start, start = self.position, 0
        data = self._window[start : start + size]
        if len(data) != size:
            raise _cut_short()
        self.position += size
        return data

    def skip(self, size: int) -> None:
        """Goes on behind the next `size` bytes.

        Raises:
            MalformedError: there are not so many.
        """
        self.position += size
        if self.position > self._length:
            raise MalformedError("bundle: the file ends early", hint="it is cut short: fetch it again")

    def ends(self) -> bool:
        """See `Tape.ends`."""
        return self.position == self._length


class StreamTape:
    """A stream, of which every byte is read once."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        # Asked once: of a protocol, Python looks at every member each time.
        self._filling = stream if isinstance(stream, CanFill) else None
        self.position = 0

    def take(self, size: int) -> bytes:
        """See `Tape.take`."""
        data = bytearray()
        while len(data) < size:
            # Piece by piece: what is asked for at once, some streams allocate at once.
            data += self._some(min(size - len(data), _PIECE))
        return bytes(data)

    def fill(self, view: memoryview) -> None:
        """Fills `view` with the next bytes.

        Raises:
            MalformedError: there are not so many.
            StorageError: the stream is broken, or does not wait for its bytes.
        """
        done = 0
        while done < len(view):
            done += self._some_into(view[done:])

    def skip(self, size: int) -> None:
        """Goes on behind the next `size` bytes, which may stay unread.

        Raises:
            MalformedError: there are not so many.
            StorageError: the stream is broken.
        """
        if isinstance(self._stream, CanSkip):
            self._stream.skip(size)
            self.position += size
            return
        end = self.position + size
        while self.position < end:
            self._some(min(end - self.position, _PIECE))

    def ends(self) -> bool:
        """See `Tape.ends`."""
        return not self._read(1)

    def _some(self, most: int) -> bytes:
        piece = self._read(most)
        if not piece:
            raise _cut_short()
        self.position += len(piece)
        return piece

    def _some_into(self, view: memoryview) -> int:
        if self._filling is None:
            piece = self._some(len(view))
            view[: len(piece)] = piece
            return len(piece)
        with _words():
            count = self._filling.readinto(view)
        if not count:
            raise _does_not_wait() if count is None else _cut_short()
        self.position += count
        return count

    def _read(self, most: int) -> bytes:
        with _words():
            piece = self._stream.read(most)
        if piece is None:
            raise _does_not_wait()
        return piece


@contextmanager
def _words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the stream broke: {(error.strerror or str(error)).lower()}") from error


def _does_not_wait() -> StorageError:
    return StorageError("the stream does not wait for its bytes", hint="pass one that blocks")


def _cut_short() -> MalformedError:
    return MalformedError("bundle: not a modelkeep bundle, or cut short")
