"""The archive form of a bundle: an uncompressed tar that is read strictly."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.container import tar
from modelkeep.container.order import BUNDLE, Form
from modelkeep.container.place import Place
from modelkeep.container.tape import FileTape
from modelkeep.container.walk import Walk
from modelkeep.errors import MalformedError, UsageError
from modelkeep.storage import words_for

# O_NONBLOCK: opening a pipe by mistake must fail, not wait for a writer.
_READ = os.O_RDONLY | os.O_NONBLOCK


class Archive:
    """A bundle as one file."""

    def __init__(self, path: Path, form: Form = BUNDLE) -> None:
        self.path = path
        with words_for(path):
            self._descriptor: int | None = os.open(path, _READ)
        try:
            with words_for(path):
                self._places = _walk(self._descriptor, form)
        except BaseException:
            self.close()
            raise

    @property
    def sizes(self) -> dict[str, int]:
        """See `Container.sizes`."""
        return {name: place.size for name, place in self._places.items()}

    @contextmanager
    def open(self, name: str) -> Iterator[Place]:
        """See `Container.open`."""
        if self._descriptor is None:
            # Its number may stand for somebody else's file by now.
            raise UsageError("this bundle is closed", hint="open it again")
        with words_for(self.path):
            yield self._places[name]

    def close(self) -> None:
        """See `Container.close`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def first_name(path: Path) -> str | None:
    """Returns the name of the first file in an archive, None where there is none; checks nothing.

    Raises:
        StorageError: cannot be read.
    """
    with words_for(path):
        descriptor = os.open(path, _READ)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            return tar.parse_name(os.pread(descriptor, tar.BLOCK, 0))
        finally:
            os.close(descriptor)


def first_file(descriptor: int, name: str, largest: int) -> bytes | None:
    """Returns the first file of an archive that may be incomplete, if it is `name`; checks nothing.

    Raises:
        OSError: it cannot be read.
    """
    block = os.pread(descriptor, tar.BLOCK, 0)
    if len(block) < tar.BLOCK or tar.parse_name(block) != name:
        return None
    size = tar.parse_size(block)
    return None if size is None or size > largest else os.pread(descriptor, size, tar.BLOCK)


def _walk(descriptor: int, form: Form) -> dict[str, Place]:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise MalformedError("bundle: neither a regular file nor a folder")
    tape = FileTape(descriptor)
    walk = Walk(tape, form)
    places: dict[str, Place] = {}
    while (entry := walk.next()) is not None:
        places[entry.name] = Place(descriptor, tape.position, entry.size)
        tape.skip(entry.size)
        walk.leave(entry)
    return places
