"""Folders that anybody may write: requests are taken from one, grants and questions are put into another.

Whoever may write them can plant links, pipes, huge files and names of every kind. So a folder is opened once
and never by its name again, links are not followed, only names of one form are looked at, and what cannot
be put where it belongs harms nobody but whom it is for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelkeep.granter.request import LARGEST_REQUEST
from modelkeep.storage import words_for, write_at

REQUEST_ENDING, GRANTS_ENDING = ".request.json", ".grants"

_REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,128}" + re.escape(REQUEST_ENDING))
_PART = re.compile(r"\.granter-[0-9a-f]{8}\.part")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@dataclass(frozen=True, slots=True)
class Received:
    """A file from the folder of requests.

    Attributes:
        name: its name.
        file: which file it was: whoever replaces it meanwhile has sent another.
        data: its content; None if it is no file, or too large.
    """

    name: str
    file: str
    data: bytes | None


class Folder:
    """A folder, held open; a context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens it.

        Raises:
            StorageError: there is none, or a link is in its place.
        """
        self.path = Path(path)
        with words_for(path):
            self.descriptor = os.open(path, _FOLDER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        os.close(self.descriptor)


class Requests(Folder):
    """The folder that requests come into."""

    def received(self) -> Iterator[Received]:
        """Yields the requests that are there, in no order, one in memory at a time.

        Raises:
            StorageError: the folder cannot be read.
        """
        with words_for(self.path), os.scandir(self.descriptor) as entries:
            for entry in entries:
                if _REQUEST.fullmatch(entry.name):
                    yield from self._read(entry.name)

    def _read(self, name: str) -> Iterator[Received]:
        try:
            descriptor = os.open(name, _FILE, dir_fd=self.descriptor)
        except OSError:
            # Gone, a link, or not ours to read: there is nothing that could be answered.
            with contextlib.suppress(OSError):
                yield Received(
                    name, _file_of(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)), None
                )
            return
        try:
            status = os.fstat(descriptor)
            is_small = stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_REQUEST
            data = os.read(descriptor, status.st_size) if is_small else None
        except OSError:
            return
        finally:
            os.close(descriptor)
        yield Received(name, _file_of(status), data)

    def remove(self, name: str, file: str) -> None:
        """Removes a request that was answered, if it is the same file still."""
        with contextlib.suppress(OSError):
            if _file_of(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)) == file:
                os.unlink(name, dir_fd=self.descriptor)


class Answers(Folder):
    """The folder that grants, questions and the journal's head go into."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens it, and removes what an earlier run has left half written; raises as `Folder` does."""
        super().__init__(path)
        with words_for(path), os.scandir(self.descriptor) as entries:
            for entry in entries:
                if _PART.fullmatch(entry.name):
                    self.remove(entry.name)
        self._part = f".granter-{os.urandom(4).hex()}.part"

    def put(self, name: str, data: bytes) -> bool:
        """Writes a file as a whole; returns False if somebody holds its name.

        Raises:
            OSError: nothing can be written at all.
        """
        descriptor = os.open(self._part, _NEW, 0o644, dir_fd=self.descriptor)
        try:
            write_at(descriptor, memoryview(data), 0)
        finally:
            os.close(descriptor)
        try:
            os.rename(self._part, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError:
            # A folder in its place, somebody else's file where only owners rename, or the part is gone.
            self.remove(self._part)
            return False
        return True

    def has(self, name: str) -> bool:
        """Returns whether there is a file under a name, and no folder or link."""
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode)

    def read(self, name: str, largest: int) -> bytes | None:
        """Returns what is there under a name, if it is a small file."""
        try:
            descriptor = os.open(name, _FILE, dir_fd=self.descriptor)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            is_small = stat.S_ISREG(status.st_mode) and status.st_size <= largest
            return os.read(descriptor, status.st_size) if is_small else None
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Removes a file, if there is one."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self.descriptor)

    def make_durable(self) -> None:
        """Waits until everything that was put is on the disk.

        Raises:
            StorageError: it did not get there.
        """
        with words_for(self.path):
            _sync(self.descriptor)


def _file_of(status: os.stat_result) -> str:
    # The numbers of files are used again, and on shares they are longer than JSON's.
    return f"{status.st_ino}-{status.st_mtime_ns}"


def _sync(descriptor: int) -> None:
    # One call for thousands of small files; where there is none, everything is written.
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except AttributeError:
        os.sync()
        return
    if syncfs(descriptor):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
