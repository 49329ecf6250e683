"""Files: errors with words, and replacing a file so that a crash leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from modelkeep.errors import KeepError, StorageError, UnavailableError, UsageError
from modelkeep.kept_file import KeptFile
from modelkeep.partial import Partial

_Parsed = TypeVar("_Parsed")

_PIECE = 2**16
LONGEST_WAIT = 30.0
_BETWEEN_TRIES = 0.01


@contextlib.contextmanager
def words_for(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an OSError of the block into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"{os.fspath(path)}: {reason}", hint=_hint(error, path)) from error


@contextlib.contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Says in errors of the block which file they are about, where they do not."""
    try:
        yield
    except KeepError as error:
        name = os.fspath(path)
        if not str(error).startswith(name) and f"{name}:" not in str(error):
            error.args = (f"{name}: {error}",)
        raise


def path_of(path: str | os.PathLike[str]) -> Path:
    """Returns what somebody named. Nothing, which an unset variable leaves, is not the working directory.

    Raises:
        UsageError: the path is empty.
    """
    if not os.fspath(path):
        raise UsageError("a path is empty", hint="write . for the working directory")
    return Path(path)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BufferedReader]:
    """Opens a file that somebody named for reading, for the length of a `with` block.

    Raises:
        StorageError: cannot be read, or is not a regular file.
    """
    with words_for(path), os.fdopen(open_regular(path), "rb") as file:
        yield file


def read_small(path: str | os.PathLike[str], largest: int, what: str) -> bytes:
    """Returns the content of a small regular file.

    Raises:
        StorageError: cannot be read, is not a regular file, or holds more than `largest` bytes.
    """
    data = bytearray()
    with opened(path) as file:
        # Piece by piece: asked for all at once, Python allocates what it is asked for.
        while piece := file.read(min(_PIECE, largest + 1 - len(data))):
            data += piece
    if len(data) > largest:
        raise StorageError(f"{os.fspath(path)}: too large for {what} (more than {largest} bytes)")
    return bytes(data)


def read_as(
    path: str | os.PathLike[str], largest: int, what: str, parse: Callable[[bytes], _Parsed]
) -> _Parsed:
    """Returns what `parse` makes of a small regular file; errors of both say which file it is.

    Raises:
        KeepError: as `read_small` and `parse` do.
    """
    with named(path):
        return parse(read_small(path, largest, what))


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """Returns a descriptor of a regular file; a pipe in its place is refused, not waited for.

    Raises:
        StorageError: something else is there.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, mode)
    except ValueError:
        raise StorageError(f"{os.fspath(path)!r}: a zero byte is in no name of a file") from None
    try:
        problem = _problem(descriptor, can_read=flags & os.O_ACCMODE != os.O_WRONLY)
    except BaseException:
        os.close(descriptor)
        raise
    if problem is None:
        return descriptor
    os.close(descriptor)
    raise StorageError(f"{os.fspath(path)}: {problem}")


def _problem(descriptor: int, *, can_read: bool) -> str | None:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return "is a directory"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    # The kernel makes what is in /proc when it is read, so that everybody who asks for sizes sees nothing.
    if can_read and status.st_size == 0 and os.pread(descriptor, 1, 0):
        return "is made by the kernel, which does not say how long it is"
    return None


def wait_for_lock(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Locks an open file for this process alone, waiting for 30 seconds.

    Not for ever: whoever may read a file can hold its lock.

    Raises:
        UnavailableError: somebody else still holds the lock.
        OSError: the file system has no locks.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{os.fspath(path)}: another process has held its lock for {LONGEST_WAIT:.0f} seconds",
                    hint=f"see who it is: fuser -v {os.fspath(path)}",
                ) from None
            time.sleep(_BETWEEN_TRIES)


def lock_now(descriptor: int, held: KeepError) -> None:
    """Locks an open file for this process alone, or raises `held` if somebody else has locked it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise held from None


@contextlib.contextmanager
def folder_locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keeps others out who do this for a file of the same folder.

    A file that is replaced has no lock of its own that would last.

    Raises:
        UnavailableError: somebody else holds the lock for too long.
        StorageError: there is no such folder.
    """
    folder = Path(path).parent
    with words_for(folder):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            wait_for_lock(descriptor, folder)
            yield
        finally:
            os.close(descriptor)


class Replacement:
    """A new file that takes the place of `target` only when it is complete.

    Written under a temporary name in the same folder; `commit` syncs and renames it, leaving
    the block without `commit` removes it. An existing target is left intact unless `force`.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        *,
        force: bool = False,
        mode: int = 0o644,
        new: Partial | KeptFile | None = None,
    ) -> None:
        self.target = path_of(target)
        self._force = force
        refuse_overwrite(self.target, force=force)
        with words_for(self.target):
            self._new = new or Partial(self.target, mode=mode)

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._new.descriptor

    def __enter__(self) -> Replacement:
        return self

    def __exit__(self, *_details: object) -> None:
        self._new.discard()

    def commit(self) -> None:
        """Makes the new file durable under its final name.

        Raises:
            StorageError: the disk is full or refuses; the old file is intact.
            UsageError: somebody else created the target meanwhile.
        """
        with words_for(self.target):
            os.fsync(self.descriptor)
            self._take_name()
            sync_folder(self.target.parent)

    def _take_name(self) -> None:
        self._new.take_name(self.target, _replace if self._force else _link)


def _replace(path: Path, target: Path) -> None:
    path.replace(target)


def _link(path: Path, target: Path) -> None:
    try:
        # A link fails when the target exists, a rename would overwrite it.
        target.hardlink_to(path)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:
        # Some file systems have no hard links; check and rename is the best they offer.
        refuse_overwrite(target, force=False)
        path.replace(target)


def write_file(
    target: str | os.PathLike[str],
    data: bytes | bytearray | memoryview,
    *,
    force: bool = False,
    mode: int = 0o644,
) -> None:
    """Writes a whole small file through `Replacement`.

    Raises:
        StorageError: cannot be written; nothing was changed.
        UsageError: it exists and `force` is not set.
    """
    with Replacement(target, force=force, mode=mode) as new, words_for(target):
        write_at(new.descriptor, memoryview(data), 0)
        new.commit()


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Writes all of `data` at `offset`.

    Raises:
        OSError: the write failed.
    """
    while len(data):
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Makes a folder, and those that it is in, durably; nothing where it is there already.

    Raises:
        OSError: it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode, parents=True, exist_ok=True)
    # What is written into a folder and synced goes with the folder, if its name does.
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename within `folder` durable."""
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_data(descriptor: int) -> None:
    """Makes a file's content durable, and of its metadata what reading it takes."""
    # macOS has no other call than this one.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def refuse_overwrite(target: Path, *, force: bool) -> None:
    """Raises UsageError when `target` exists and may not be replaced."""
    if not force and os.path.lexists(target):
        raise _exists(target)
    # Renaming over /dev/null would replace the device by a file.
    if os.path.exists(target) and not os.path.isfile(target):  # noqa: PTH110, PTH113 (these never raise)
        raise UsageError(f"{target}: not a regular file", hint="choose another name")


def is_read_only(error: StorageError) -> bool:
    """Returns whether a failure came of a disk that nobody can write."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS


def _exists(target: Path) -> UsageError:
    return UsageError(f"{target}: exists already", hint="choose another name or pass --force")


def _hint(error: OSError, path: str | os.PathLike[str]) -> str | None:
    folder = Path(path).parent
    if error.errno == errno.ENOENT and not folder.exists():
        return f"there is no folder {folder}"
    hints = {
        "ENOSPC": "free some space and try again; nothing was replaced",
        "EROFS": "choose a place that can be written to",
        "EACCES": "check the permissions of the file and its folder",
        "ENOENT": "check the path",
        "EIO": "the disk cannot read it, or dm-verity refuses it",
        "EDQUOT": "free some space and try again; nothing was replaced",
    }
    return hints.get(errno.errorcode.get(error.errno or 0, ""))
