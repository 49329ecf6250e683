"""Where an installation is made: an open file, and the right to write it.

Bytes are waited for without any lock, so that a server that drips holds nobody up. Each write asks anew
whether the file is still there to be written. Source: spec/update-v1.md, "Slots".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from modelkeep.bundle.lease import lease_path
from modelkeep.errors import UnavailableError
from modelkeep.storage import folder_locked, open_regular, sync_folder, words_for

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW


class Place(Protocol):
    """A file in which an installation is made."""

    @property
    def descriptor(self) -> int:
        """The open file, for reading and writing."""

    def renew(self) -> None:
        """Puts an empty file there, in which nobody else writes."""

    def held(self) -> AbstractContextManager[None]:
        """Keeps everybody else from writing it, or taking it away, during a `with` block.

        Raises:
            UnavailableError: it was taken away before.
        """


class OwnPlace:
    """A file that nobody else knows, or that is locked."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def renew(self) -> None:
        """See `Place.renew`."""
        os.ftruncate(self.descriptor, 0)

    def held(self) -> AbstractContextManager[None]:
        """See `Place.held`."""
        return nullcontext()


class SlotPlace:
    """The file of a slot, which others may write as well, or take away; a context manager.

    Two that install one release write the same bytes into it. It is opened, renewed and closed by whoever
    has the lock of the folder.
    """

    def __init__(self, path: Path) -> None:
        """Opens the slot's file.

        Raises:
            StorageError: it cannot be written.
        """
        self._path = path
        with words_for(path):
            self.descriptor = open_regular(path, _OPEN, 0o600)
            sync_folder(path.parent)

    def __enter__(self) -> SlotPlace:
        return self

    def __exit__(self, *_details: object) -> None:
        os.close(self.descriptor)

    def renew(self) -> None:
        """See `Place.renew`."""
        clear(self._path)
        new = open_regular(self._path, _OPEN | os.O_EXCL, 0o600)
        os.dup2(new, self.descriptor, inheritable=False)
        os.close(new)
        sync_folder(self._path.parent)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `Place.held`."""
        with folder_locked(self._path):
            if not self._is_there():
                raise UnavailableError(
                    f"{self._path}: was let go of meanwhile, or made room for another release",
                    hint="modelkeep status says what is there",
                )
            yield

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.descriptor), self._path.lstat())
        except FileNotFoundError:
            return False


def clear(path: Path) -> None:
    """Removes an installation, and its lease, for good; nothing where there is none.

    Raises:
        StorageError: it cannot be removed.
    """
    with words_for(path):
        path.unlink(missing_ok=True)
        lease_path(path).unlink(missing_ok=True)
        sync_folder(path.parent)
