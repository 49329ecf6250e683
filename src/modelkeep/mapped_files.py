"""Files as memory, each mapped when it is first looked at."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from modelkeep.storage import opened, words_for


class MappedFiles(Mapping[str, memoryview]):
    """Name -> content of a file; the content may be looked at until the block is left.

    What is asked for raises StorageError where it cannot be read.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._mappings: dict[str, mmap.mmap] = {}
        self._views: dict[str, memoryview] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        # The traceback of a failure may still hold parts of them, which end with it.
        for name, view in self._views.items():
            with suppress(BufferError):
                view.release()
                if name in self._mappings:
                    self._mappings[name].close()

    def __getitem__(self, name: str) -> memoryview:
        if name not in self._views:
            self._views[name] = self._mapped(name)
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def _mapped(self, name: str) -> memoryview:
        path = self._paths[name]
        with words_for(path), opened(path) as file:
            if os.fstat(file.fileno()).st_size == 0:
                return memoryview(b"")
            self._mappings[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return memoryview(self._mappings[name])
