"""Where a bundle comes from: a file, a folder, a stream, an address; bytes from some place on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from modelkeep.channels.channel import ByteStream
from modelkeep.container.tape import Readable
from modelkeep.errors import UsageError
from modelkeep.storage import open_regular, words_for


class Source(Protocol):
    """A bundle in its archive form, wherever it is."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def can_seek(self) -> bool:
        """Whether `open` takes any offset, and not 0 alone."""

    @property
    def tag(self) -> str | None:
        """What tells these bytes from others under the same name, as far as is known by now."""

    def open(self, offset: int) -> ByteStream:
        """Returns its bytes from `offset` on; the caller closes them.

        Raises:
            UnavailableError: it cannot be reached or read.
            UsageError: it cannot begin there.
        """


class FileSource:
    """A bundle in a regular file.

    Attributes:
        path: the file.
    """

    can_seek = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.tag: str | None = None

    def open(self, offset: int) -> ByteStream:
        """See `Source.open`."""
        with words_for(self.path):
            file = os.fdopen(open_regular(self.path), "rb", buffering=0)
            status = os.fstat(file.fileno())
            file.seek(offset)
        self.tag = f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
        return file


class StreamSource:
    """A bundle in a stream that was opened by somebody else, who closes it."""

    can_seek = False
    tag = None

    def __init__(self, stream: Readable, name: str = "-") -> None:
        self.name = name
        self._stream: Readable | None = stream

    def open(self, offset: int) -> ByteStream:
        """See `Source.open`."""
        if offset or self._stream is None:
            raise UsageError(f"{self.name}: a stream cannot go back", hint="begin again with a new one")
        stream, self._stream = self._stream, None
        return _StaysOpen(stream)


class _StaysOpen:
    """A stream that stays open when this is closed."""

    def __init__(self, stream: Readable) -> None:
        self.read = stream.read

    def close(self) -> None:
        """Does nothing."""


def is_address(text: str) -> bool:
    """Returns whether `text` is an address and no path: of a kind that downloads know, or not."""
    return "://" in text


SourceLike = Source | Readable | str | os.PathLike[str]


def source_of(source: SourceLike) -> Source:
    """Returns the source that an argument means: ``-``, an address, a path, a stream, or itself.

    Raises:
        UsageError: it means nothing that this installation can read.
    """
    if isinstance(source, str) and source == "-":
        return StreamSource(sys.stdin.buffer)
    if isinstance(source, str) and is_address(source):
        from modelkeep.channels.download import HttpSource

        return HttpSource(source)
    if isinstance(source, str | os.PathLike):
        return _at_path(Path(source))
    if isinstance(source, Readable):
        return StreamSource(source)
    if not hasattr(source, "open"):
        raise UsageError(
            f"nothing to install from: {type(source).__name__}", hint="pass a path, an address or a stream"
        )
    return source


def _at_path(path: Path) -> Source:
    with words_for(path):
        is_folder = path.is_dir()
    if not is_folder:
        return FileSource(path)
    from modelkeep.updates.folder_source import FolderSource

    return FolderSource(path)
