"""The files of something that is open, whichever form it has; nothing here is verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Self

from modelkeep.container import names
from modelkeep.container.container import Container
from modelkeep.container.place import Place
from modelkeep.errors import UsageError
from modelkeep.payload.segments import Extent


class Files:
    """Files by name.

    Attributes:
        path: where the bundle or installation is.
        sizes: name and size in bytes of every file, in their order.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.path = container.path
        self.sizes: Mapping[str, int] = container.sizes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files; harmless when repeated."""
        self._container.close()

    def read(self, name: str) -> bytes:
        """Returns a small file of the bundle as it is, unverified.

        Raises:
            UsageError: the bundle has no such file, or is closed.
            StorageError: cannot be read.
        """
        if name not in self.sizes:
            raise UsageError(f"the bundle has no file {name!r}")
        with self.open_file(name) as place:
            return place.read()

    def find(self, name: str) -> bytes | None:
        """Returns a small file as `read` does, or None if there is none.

        Raises:
            StorageError: cannot be read.
        """
        return self.read(name) if name in self.sizes else None

    def open_file(self, name: str) -> AbstractContextManager[Place]:
        """Opens a file of the bundle for the length of a `with` block."""
        return self._container.open(name)

    @contextmanager
    def open_stream(self, index: int, size: int) -> Iterator[Extent]:
        """Opens the stream of member `index`, whose plaintext has `size` bytes."""
        with self._container.open(names.payload(index)) as place:
            yield Extent(place.descriptor, place.offset, size)
