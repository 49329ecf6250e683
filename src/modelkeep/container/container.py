"""The files of a bundle by name, whichever form it has.

Both forms are strict: nothing may be there that the specification does not name. What comes
out is untrusted until a signature has been verified over it.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from modelkeep.container.archive import Archive
from modelkeep.container.folder import Folder
from modelkeep.container.place import Place
from modelkeep.storage import path_of, words_for


class Container(Protocol):
    """The files of a bundle."""

    path: Path

    @property
    def sizes(self) -> dict[str, int]:
        """Name and size in bytes of every file, in the order of the archive."""

    def open(self, name: str) -> AbstractContextManager[Place]:
        """Opens one file for the length of a `with` block."""

    def close(self) -> None:
        """Closes the container; harmless when repeated."""


def open_container(path: str | os.PathLike[str]) -> Container:
    """Opens a bundle in either form.

    Raises:
        StorageError: cannot be read.
        MalformedError: not a bundle.
    """
    path = path_of(path)
    with words_for(path):
        is_folder = path.is_dir()
    return Folder(path) if is_folder else Archive(path)
