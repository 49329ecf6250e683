"""Attackers who exchange a file between any two looks at it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelkeep.channels.channel import ByteStream
from modelkeep.updates.source import FileSource


class Exchanger(ABC):
    """Puts one of two contents into a file, right before some of the looks that somebody takes at it.

    Attributes:
        looks: how many there were.
    """

    def __init__(self, path: Path, first: bytes, second: bytes, turns: range) -> None:
        """Takes the file, what it holds, and what it holds during the looks of these numbers."""
        self.path = path
        self._versions, self._turns = (first, second), turns
        self.looks = 0
        path.write_bytes(first)

    @abstractmethod
    def at_work(self) -> AbstractContextManager[None]:
        """Stands between the process and the file for the length of a `with` block."""

    @abstractmethod
    def _put(self, content: bytes) -> None:
        """Exchanges the content."""

    def end(self) -> None:
        """Leaves the file with its first content."""
        self._put(self._versions[0])

    def _before_look(self) -> None:
        if self.looks == self._turns.start:
            self._put(self._versions[1])
        elif self.looks == self._turns.stop:
            self._put(self._versions[0])
        self.looks += 1


class _InLooks:
    """A stream that tells of every look at it; a look sees no more than a block."""

    _BLOCK = 512

    def __init__(self, stream: ByteStream, before_look: Callable[[], None]) -> None:
        self._stream, self._before_look = stream, before_look
        self.close = stream.close

    def read(self, size: int, /) -> bytes | None:
        """Returns the next bytes, fewer than `size` where that is more than a block."""
        self._before_look()
        return self._stream.read(min(size, self._BLOCK))


class Flipper(Exchanger):
    """Writes into the file itself, before reads: whoever has it open sees the other content."""

    def __init__(self, path: Path, first: bytes, second: bytes, turns: range) -> None:
        """Takes contents of one length."""
        assert len(first) == len(second)
        super().__init__(path, first, second, turns)
        self._inode = path.stat().st_ino

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """See `Exchanger.at_work`."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("pread", "preadv"):
                patch.setattr(os, name, self._reading(getattr(os, name)))
            patch.setattr(FileSource, "open", self._arriving(FileSource.open))
            yield

    def _reading(self, read: Any) -> Any:
        def flip_then_read(descriptor: int, what: int | Sequence[memoryview], offset: int) -> Any:
            if os.fstat(descriptor).st_ino == self._inode:
                self._before_look()
            return read(descriptor, what, offset)

        return flip_then_read

    def _arriving(self, opened: Callable[[FileSource, int], ByteStream]) -> Any:
        def open_to_flip(source: FileSource, offset: int) -> ByteStream:
            stream = opened(source, offset)
            return _InLooks(stream, self._before_look) if source.path == self.path else stream

        return open_to_flip

    def _put(self, content: bytes) -> None:
        with self.path.open("r+b") as file:
            file.write(content)


class Renamer(Exchanger):
    """Puts another file under the name, before it is opened: whoever opens it again has another one."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """See `Exchanger.at_work`."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", self._opening(os.open))
            yield

    def _opening(self, opened: Any) -> Any:
        def rename_then_open(path: Any, *arguments: Any, **named: Any) -> Any:
            if path == self.path or path == os.fspath(self.path):
                self._before_look()
            return opened(path, *arguments, **named)

        return rename_then_open

    def _put(self, content: bytes) -> None:
        new = self.path.with_name("exchanged")
        new.write_bytes(content)
        new.replace(self.path)
