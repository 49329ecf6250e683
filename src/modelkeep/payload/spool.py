"""Streams of unknown length: kept encrypted in an unnamed file until their length is known.

The key is random and never leaves memory, so what is left of the file on the disk is noise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from modelkeep.errors import StorageError
from modelkeep.manifest import Suite
from modelkeep.memory import Pages
from modelkeep.memory.randomness import fill_random
from modelkeep.payload.cipher import StreamCipher, body, new_header, sealed_length
from modelkeep.payload.layout import HEADER, SEGMENT, TAG, plain_range, segment_at, segment_count
from modelkeep.payload.segments import Extent
from modelkeep.payload.source import OpenSource
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.storage import words_for, write_at

_LABEL = b"modelkeep/spool"


class Spool:
    """A source that was read from a stream; see `spooled`."""

    def __init__(self, descriptor: int, cipher: StreamCipher, size: int) -> None:
        self.size = size
        self._extent = Extent(descriptor, 0, size)
        self._cipher = cipher

    @contextmanager
    def open(self) -> Iterator[OpenSource]:
        """Gives itself; it is open for as long as its `spooled` block lasts."""
        yield self

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fills `view` with the plaintext at `offset`.

        Raises:
            StorageError: the file cannot be read any more.
            TamperedError: somebody changed it.
        """
        with words_for("spool"), Pages.allocate(SEGMENT) as pages:
            scratch = self._extent.scratch()
            done = 0
            while done < len(view):
                index = segment_at(offset + done)
                start, end = plain_range(index, self.size)
                plain = pages.view[: end - start]
                self._decrypt(index, scratch, plain)
                piece = plain[offset + done - start :][: len(view) - done]
                view[done : done + len(piece)] = piece
                done += len(piece)

    def _decrypt(self, index: int, scratch: memoryview, plain: memoryview) -> None:
        sealed = self._extent.read_segment(index, scratch)
        last = index == segment_count(self.size) - 1
        self._cipher.decrypt(index, last, body(index, sealed), plain)


@contextmanager
def spooled(stream: BinaryIO, folder: Path, progress: Progress = no_progress) -> Iterator[Spool]:
    """Reads `stream` to its end and gives it as a source for the length of the block.

    Args:
        stream: anything with `readinto`, for example standard input.
        folder: where there is room for the encrypted stream.
        progress: told the bytes that were read.

    Raises:
        StorageError: the stream cannot be read, or the folder has no room.
    """
    with words_for(folder), tempfile.TemporaryFile(dir=folder) as file, Pages.allocate(32) as key:
        fill_random(key.view)
        cipher = StreamCipher(Suite.AES256_GCM_HKDF_1MB, key.view, _LABEL, new_header())
        size = _Filling(stream, file.fileno(), cipher, progress).run()
        yield Spool(file.fileno(), cipher, size)


class _Filling:
    """Encrypts a stream segment by segment, one behind what it reads: the last one is marked."""

    def __init__(self, stream: BinaryIO, descriptor: int, cipher: StreamCipher, progress: Progress) -> None:
        self._stream, self._descriptor = stream, descriptor
        self._cipher, self._progress = cipher, progress
        self._sealed = memoryview(bytearray(SEGMENT))

    def run(self) -> int:
        with Pages.allocate(SEGMENT) as first, Pages.allocate(SEGMENT) as second:
            current, following = first.view, second.view
            index, size, length = 0, 0, self._read(current, 0)
            while (more := self._read(following, index + 1) if length else 0) > 0:
                self._write(index, current[:length], last=False)
                index, size, length = index + 1, size + length, more
                current, following = following, current
            self._write(index, current[:length], last=True)
        return size + length

    def _read(self, view: memoryview, index: int) -> int:
        """Fills `view` with the plaintext of one segment and returns its length."""
        room = SEGMENT - TAG - (HEADER if index == 0 else 0)
        filled = 0
        while filled < room:
            count = self._stream.readinto(view[filled:room])  # type: ignore[attr-defined]
            if count is None:
                raise StorageError("the stream has nothing to read and does not wait for more")
            if count == 0:
                break
            filled += count
        self._progress(filled)
        return filled

    def _write(self, index: int, plain: memoryview, *, last: bool) -> None:
        sealed = self._sealed[: sealed_length(index, len(plain))]
        if index == 0:
            sealed[:HEADER] = self._cipher.header
        self._cipher.encrypt(index, last, plain, body(index, sealed))
        write_at(self._descriptor, sealed, index * SEGMENT)
