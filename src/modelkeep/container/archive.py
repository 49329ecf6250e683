"""The archive form of a bundle: an uncompressed tar that is read strictly."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.container import names, tar
from modelkeep.container.order import BUNDLE, Form, Order
from modelkeep.container.place import Place
from modelkeep.errors import MalformedError, UsageError
from modelkeep.storage import words_for

# O_NONBLOCK: opening a pipe by mistake must fail, not wait for a writer.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


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


def _walk(descriptor: int, form: Form) -> dict[str, Place]:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise MalformedError("bundle: neither a regular file nor a folder")
    walk = _Walk(descriptor, status.st_size, form)
    walk.run()
    return walk.places


class _Walk:
    """Goes through an archive from front to back and checks every byte that is not content."""

    def __init__(self, descriptor: int, length: int, form: Form) -> None:
        self._descriptor = descriptor
        self._length = length
        self._position = 0
        self._order = Order(form)
        self.places: dict[str, Place] = {}

    def run(self) -> None:
        while (block := self._read(tar.BLOCK)) != tar.END[: tar.BLOCK]:
            self._member(block)
        if self._read(len(tar.END)) != tar.END or self._position + len(tar.END) != self._length:
            raise MalformedError("bundle: the archive does not end as it must")
        self._order.finish()

    def _member(self, block: bytes) -> None:
        if block[156:157] == b"x":
            block = self._skip_padding()
        name, size = tar.parse_name(block), tar.parse_size(block)
        if name is None or size is None or tar.header(name, size) != block:
            raise MalformedError("bundle: not a modelkeep bundle, or damaged: bad archive header")
        self._order.check(name, size)
        self._advance_to_data(name, size)

    def _skip_padding(self) -> bytes:
        padding = tar.pad_before(self._position)
        if not padding or self._read(len(padding)) != padding:
            raise MalformedError("bundle: bad padding")
        self._position += len(padding)
        block = self._read(tar.BLOCK)
        if not (tar.parse_name(block) or "").startswith(f"{names.PAYLOAD}/"):
            raise MalformedError("bundle: padding in front of something else than payload")
        return block

    def _advance_to_data(self, name: str, size: int) -> None:
        offset = self._position + tar.BLOCK
        if name.startswith(f"{names.PAYLOAD}/") and offset % tar.ALIGNMENT:
            raise MalformedError(f"bundle: {name} is not aligned")
        end = offset + tar.round_up(size)
        if end > self._length:
            raise MalformedError("bundle: the file ends early")
        self.places[name] = Place(self._descriptor, offset, size)
        self._position = offset + size
        if any(self._read(end - self._position)):
            raise MalformedError("bundle: bytes hidden behind a file")
        self._position = end

    def _read(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self._position)
        if len(data) != size:
            raise MalformedError("bundle: not a modelkeep bundle, or cut short")
        return data
