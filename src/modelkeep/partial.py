"""Files and folders that are being written: under a name of their own until they are complete.

Whoever writes holds a lock, which ends with the process however that ends. So what a power cut or a
kill left behind can be told from what somebody is writing just now, and the next writer removes it.

Others may write the folder that a target is in, and put anything under any name. So names are followed once,
to what is opened; a folder is emptied only through its descriptor, and only if it is this user's and carries
the mark that folders get here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
import weakref
from collections.abc import Callable
from pathlib import Path

_MOST_NAMES = 8
_MARK = ".modelkeep-partial"
_LONG_AGO = 86_400  # seconds


class Partial:
    """A new file or folder beside a target; `discard` removes it unless it took another name."""

    def __init__(self, target: Path, *, mode: int | None = None) -> None:
        """Makes a file with `mode`, or without it a folder for its owner alone.

        Raises:
            OSError: it cannot be made.
        """
        self._paths: list[Path] = []
        self._descriptors: list[int] = []
        # Before anything is made, and not only on leaving a block: an interrupt can come at any time.
        self.discard = weakref.finalize(self, _discard, os.getpid(), self._descriptors, self._paths)
        self.discard.atexit = False  # a forked child must leave its parent's file alone
        remove_left_behind(target, "part")
        while not self._descriptors:
            self._make(_name_beside(target), mode)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._paths[-1]

    @property
    def descriptor(self) -> int:
        """Open on it, and locked."""
        return self._descriptors[0]

    def take_name(self, target: Path, take: Callable[[Path, Path], object]) -> None:
        """Gives it the name of `target`, and makes sure that it is this one that has it then.

        Args:
            target: in the same folder.
            take: how: called with the present path and `target`.

        Raises:
            OSError: `take` failed, or somebody put something else into its place.
        """
        is_folder = stat.S_ISDIR(os.fstat(self.descriptor).st_mode)
        if is_folder:
            os.unlink(_MARK, dir_fd=self.descriptor)
            os.fsync(self.descriptor)
        take_name(self.descriptor, self.path, target, take)
        if is_folder:
            self._paths.clear()

    def _make(self, path: Path, mode: int | None) -> None:
        self._paths.append(path)
        if mode is None:
            path.mkdir(mode=0o700)
            with contextlib.suppress(FileNotFoundError):  # taken for left behind already
                self._descriptors.append(os.open(path, os.O_DIRECTORY | os.O_NOFOLLOW))
                _mark(self.descriptor)
        else:
            self._descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
        # Whoever may read a file may lock it, and must not be able to hold up who writes it.
        if self._descriptors and not is_ours(path, self.descriptor) and len(self._paths) < _MOST_NAMES:
            os.close(self._descriptors.pop())


def take_name(descriptor: int, path: Path, target: Path, take: Callable[[Path, Path], object]) -> None:
    """Gives what is open, and was made at `path`, the name of `target`; see `Partial.take_name`."""
    take(path, target)
    if not os.path.samestat(os.fstat(descriptor), os.lstat(target)):
        raise OSError(errno.EBUSY, "somebody else changes this folder, and exchanged what is written there")


def _discard(maker: int, descriptors: list[int], paths: list[Path]) -> None:
    if os.getpid() == maker:
        if paths and descriptors:
            # Also where somebody gave the folder another name meanwhile.
            with contextlib.suppress(NotADirectoryError):
                _empty(descriptors[0])
        for path in paths:
            # Where it took the target's name there is nothing left, or a second name of the target.
            with contextlib.suppress(OSError):
                _remove(path)
    while descriptors:
        os.close(descriptors.pop())


def _remove(path: Path) -> None:
    """Removes a file, a link or an empty folder; never what is in a folder, which could be anybody's."""
    path.rmdir() if stat.S_ISDIR(os.lstat(path).st_mode) else path.unlink()


def _empty(descriptor: int) -> None:
    with os.scandir(descriptor) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if is_folder:
            # Rare, and with it come four compression libraries.
            from shutil import rmtree

            rmtree(name, dir_fd=descriptor)
        else:
            os.unlink(name, dir_fd=descriptor)


def _mark(descriptor: int) -> None:
    os.close(os.open(_MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=descriptor))


def _is_marked(descriptor: int) -> bool:
    try:
        status = os.stat(_MARK, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _name_beside(target: Path) -> Path:
    return name_beside(target, secrets.token_hex(4), "part")


def name_beside(target: Path, unique: str, kind: str) -> Path:
    """Returns the name of a file beside `target` that is still to become it, `unique` to this host."""
    # Fifty characters are at most 200 of the 255 bytes that a name may have.
    return target.with_name(f".{target.name[:50]}.{_host()}{unique}.{kind}")


def _host() -> str:
    """Returns four characters that stand for this host."""
    return hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:4]


def is_ours(path: Path, descriptor: int) -> bool:
    """Locks what was just made; False if somebody took it for left behind before that, or holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: then nothing there is ever removed
        pass
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def remove_left_behind(target: Path, kind: str) -> None:
    """Removes what `name_beside` has named and nobody works on any more."""
    wanted = re.compile(rf"\.{re.escape(target.name[:50])}\.[0-9a-f]{{12}}\.{kind}")
    # What cannot be removed does no harm here; writing says what is wrong with the place.
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if wanted.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_left_behind(Path(entry.path))


def _was_made_here(name: str) -> bool:
    return name.rpartition(".")[0].rpartition(".")[2].startswith(_host())


def _remove_if_left_behind(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _was_made_here(path.name) and time.time() - os.fstat(descriptor).st_mtime < _LONG_AGO:
            return  # on a network's disk, another host's lock is not seen
        if _may_remove(descriptor):
            with contextlib.suppress(NotADirectoryError):
                _empty(descriptor)
            _remove(path)
    finally:
        os.close(descriptor)


def _may_remove(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        return False
    # An empty folder without its mark is what a kill right after making it leaves.
    return stat.S_ISREG(status.st_mode) or (
        stat.S_ISDIR(status.st_mode) and (_is_marked(descriptor) or not os.listdir(descriptor))
    )
