"""The lock of a device's state: one change at a time, also when somebody takes the lock's file away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.errors import RollbackError
from modelkeep.storage import make_folder, wait_for_lock, words_for


class StateLock:
    """A lock that is held.

    A lock on a file that is gone keeps nobody out: whoever comes next makes a new one.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @property
    def is_in_place(self) -> bool:
        """Whether the file that is locked still has its name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raises RollbackError when others may have changed the state meanwhile."""
        if not self.is_in_place:
            raise changed_meanwhile(self._path)


@contextmanager
def locked(path: Path) -> Iterator[StateLock]:
    """Holds the lock at `path` for the length of a `with` block; makes its folder if need be.

    Raises:
        StorageError: the file cannot be made, or its file system has no locks.
        UnavailableError: somebody else holds the lock for too long.
    """
    while True:
        descriptor = _open(path)
        try:
            with words_for(path):
                wait_for_lock(descriptor, path)
            lock = StateLock(path, descriptor)
            if lock.is_in_place:
                yield lock
                return
        finally:
            os.close(descriptor)


def changed_meanwhile(path: Path) -> RollbackError:
    """Returns the error for a state that somebody else changed during a change."""
    return RollbackError(
        f"{path}: the device's state was changed by somebody else meanwhile",
        hint="try again; whoever removes lock files while they are in use can make a device refuse for good",
    )


def _open(path: Path) -> int:
    with words_for(path):
        make_folder(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
