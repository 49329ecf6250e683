"""Where plaintext comes from when it is sealed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from modelkeep.errors import StorageError
from modelkeep.storage import open_regular, words_for


class OpenSource(Protocol):
    """A source that is open for reading; used from several threads at once."""

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fills `view` with the bytes at `offset`.

        Raises:
            StorageError: the bytes cannot be read.
        """


class Source(Protocol):
    """Something of known length that can be sealed."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def open(self) -> AbstractContextManager[OpenSource]:
        """Opens the source for the length of a `with` block."""


class FileSource:
    """A regular file, read while it is sealed and watched for changes meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with words_for(path):
            descriptor = open_regular(path)
            status = os.fstat(descriptor)
            os.close(descriptor)
        self.size = status.st_size
        self._modified = status.st_mtime_ns

    @contextmanager
    def open(self) -> Iterator[OpenSource]:
        """Opens the file; leaving the block refuses one that changed since this source was made.

        Raises:
            StorageError: the file cannot be read, or it changed.
        """
        with words_for(self.path):
            descriptor = open_regular(self.path)
        try:
            yield _OpenFile(self.path, descriptor)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if (status.st_size, status.st_mtime_ns) != (self.size, self._modified):
            raise _changed(self.path)


class _OpenFile:
    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def read_into(self, view: memoryview, offset: int) -> None:
        with words_for(self._path):
            if read_fully(self._descriptor, view, offset) != len(view):
                raise _changed(self._path)


class MemorySource:
    """Bytes that are in memory already; the caller wipes them afterwards."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.size = len(view)

    @contextmanager
    def open(self) -> Iterator[OpenSource]:
        """Gives itself; there is nothing to open."""
        yield self

    def read_into(self, view: memoryview, offset: int) -> None:
        """Copies the bytes at `offset` into `view`."""
        view[:] = self._view[offset : offset + len(view)]


def read_fully(descriptor: int, view: memoryview, offset: int) -> int:
    """Reads until `view` is full or the file ends; returns how many bytes were read.

    Raises:
        OSError: the read failed.
    """
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done


def _changed(path: Path) -> StorageError:
    return StorageError(
        f"{path}: changed while it was being sealed", hint="seal a file that nobody writes to"
    )
