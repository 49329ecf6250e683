"""What somebody passed instead of a bundle, in words: a model that nobody sealed, a key, a web page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.errors import KeepError, MalformedError, UnsupportedVersionError
from modelkeep.file_kind import not_recipient
from modelkeep.formats.registry import format_of
from modelkeep.mapped_files import MappedFiles
from modelkeep.storage import named

_HEAD = 256


@contextmanager
def said_what_it_is(path: str | os.PathLike[str]) -> Iterator[None]:
    """Says in errors of the block which file it is, and what it seems to be where it is no bundle."""
    with named(path):
        try:
            yield
        except UnsupportedVersionError:
            raise
        except MalformedError as error:
            error.hint = error.hint or _hint(Path(path))
            raise


def _hint(path: Path) -> str | None:
    if not path.is_file():
        return "pass the file or folder that modelkeep seal wrote"
    try:
        with MappedFiles({path.name: path}) as files:
            found = format_of(files, path.name)
            kind = not_recipient(bytes(files[path.name][:_HEAD]))
    except KeepError as error:
        # What stands for a model, a pointer or a web page, is told apart already.
        return str(error)
    if found is not None:
        return f"this is a model ({found.name}) that nobody sealed yet: modelkeep seal {path}"
    return "it is damaged: fetch it again" if kind is None else f"this is {kind}"
