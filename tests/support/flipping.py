"""An attacker who writes to a file between any two reads of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Flipper:
    """Puts one of two contents of the same length into a file, right before some of the reads of it.

    Attributes:
        reads: how many reads of the file there were.
    """

    def __init__(self, path: Path, first: bytes, second: bytes, turns: range) -> None:
        """Takes the file, what it holds, and what it holds during the reads of these numbers."""
        assert len(first) == len(second)
        self.path = path
        self._versions, self._turns = (first, second), turns
        self.reads = 0
        self._put(first)
        self._inode = path.stat().st_ino

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Stands between the process and the file for the length of a `with` block."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("pread", "preadv"):
                patch.setattr(os, name, self._reading(getattr(os, name)))
            yield

    def end(self) -> None:
        """Leaves the file with its first content."""
        self._put(self._versions[0])

    def _reading(self, read: Any) -> Any:
        def flip_then_read(descriptor: int, what: int | Sequence[memoryview], offset: int) -> Any:
            if os.fstat(descriptor).st_ino == self._inode:
                self._before_read()
            return read(descriptor, what, offset)

        return flip_then_read

    def _before_read(self) -> None:
        if self.reads == self._turns.start:
            self._put(self._versions[1])
        elif self.reads == self._turns.stop:
            self._put(self._versions[0])
        self.reads += 1

    def _put(self, content: bytes) -> None:
        # In place: whoever has the file open sees it.
        with self.path.open("r+b" if self.path.exists() else "xb") as file:
            file.write(content)
