"""A folder as a channel: what a web server shows, a stick, a mounted share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

from modelkeep.channels.channel import AbsentError, check_name, too_large
from modelkeep.storage import Replacement, make_folder, open_regular, path_of, words_for, write_at

# What is published is there to be read.
_FOLDER_MODE = 0o755


class DirectoryChannel:
    """A folder, as a `Channel`.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Takes a folder, which need not be there yet.

        Raises:
            UsageError: an empty path.
        """
        self.folder = path_of(folder)
        self.name = str(folder)

    def open(self, name: str, offset: int = 0, *, largest: int) -> FileIO:
        """See `Channel.open`."""
        path = self.path(name)
        with words_for(path):
            try:
                file = FileIO(open_regular(path), "rb")
            except (FileNotFoundError, NotADirectoryError):
                raise AbsentError(f"{self.name}: has no {name}") from None
            if os.fstat(file.fileno()).st_size > largest:
                file.close()
                raise too_large(self, name, largest)
            file.seek(offset)
        return file

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """See `Channel.put`."""
        path = self.path(name)
        with words_for(path.parent):
            make_folder(path.parent, _FOLDER_MODE)
        with Replacement(path, force=True) as new:
            _write(new.descriptor, pieces, path)
            new.commit()

    def path(self, name: str) -> Path:
        """Returns where a file is, or would be.

        Raises:
            UsageError: not a name.
        """
        return self.folder / check_name(name)


def _write(descriptor: int, pieces: Iterable[bytes | memoryview], path: Path) -> None:
    position = 0
    for piece in pieces:
        with words_for(path):
            write_at(descriptor, memoryview(piece), position)
        position += len(piece)
