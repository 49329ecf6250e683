"""The journal: everything that was granted or refused, each line bound to all lines before it.

Lines are only ever appended, each batch durable before anything of it is published.
Source: spec/granter-v1.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from modelkeep.errors import MalformedError, TamperedError
from modelkeep.granter.journal_entry import (
    BEFORE_THE_FIRST,
    LONGEST_LINE,
    Event,
    Fact,
    JournalEntry,
    digest_of,
)
from modelkeep.storage import open_regular, sync_folder, words_for, write_at

_CHANGED = "find out who changed it; nothing is granted meanwhile"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the journal: behind some line.

    Attributes:
        number: of that line; 0 before the first.
        digest: of that line, 32 bytes.
        offset: where the next one begins, in bytes.
    """

    number: int = 0
    digest: bytes = BEFORE_THE_FIRST
    offset: int = 0

    def after(self, line: bytes) -> Place:
        """Returns the place behind one line more."""
        return Place(self.number + 1, digest_of(line), self.offset + len(line))


class Draft:
    """Lines that are still to be appended.

    Attributes:
        start: the place that they follow.
        end: the place behind them.
        lines: as they will stand there.
    """

    def __init__(self, start: Place) -> None:
        self.start = self.end = start
        self.lines: list[bytes] = []

    def add(self, at: int, event: Event, facts: Mapping[str, Fact]) -> JournalEntry:
        """Adds a line; returns what it says."""
        entry = JournalEntry(self.end.number + 1, self.end.digest, at, event, facts)
        line = entry.to_line()
        if len(line) > LONGEST_LINE:
            raise MalformedError("journal: a line would be too long")
        self.lines.append(line)
        self.end = self.end.after(line)
        return entry


class Journal:
    """An open journal; a context manager."""

    def __init__(self, path: Path) -> None:
        """Opens it; an empty one is made where there is none.

        Raises:
            StorageError: it cannot be opened.
        """
        self.path = path
        with words_for(path):
            self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            sync_folder(path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def following(self, place: Place) -> Iterator[tuple[JournalEntry, Place]]:
        """Yields the lines behind a place, each with the place behind it; see `entries_of`.

        Raises:
            TamperedError: the journal ends before that place, or has another line there.
        """
        with words_for(self.path):
            size = os.fstat(self._descriptor).st_size
        if size < place.offset:
            raise TamperedError(
                f"{self.path}: lines are missing at its end: {place.number} were there", hint=_CHANGED
            )
        if place.number and digest_of(self._line_before(place)) != place.digest:
            raise TamperedError(
                f"{self.path}: line {place.number} is not the one that was there", hint=_CHANGED
            )
        return entries_of(self.path, place)

    def _line_before(self, place: Place) -> bytes:
        begin = max(0, place.offset - LONGEST_LINE)
        with words_for(self.path):
            data = os.pread(self._descriptor, place.offset - begin, begin)
        return data[data.rfind(b"\n", 0, -1) + 1 :]

    def append(self, start: Place, lines: bytes) -> None:
        """Puts lines behind a place, whatever a crash has left there, and makes them durable.

        Raises:
            StorageError: they cannot be written.
        """
        with words_for(self.path):
            os.ftruncate(self._descriptor, start.offset)
            write_at(self._descriptor, memoryview(lines), start.offset)
            os.fsync(self._descriptor)

    def cut(self, place: Place) -> None:
        """Removes what a crash has left behind the last whole line."""
        with words_for(self.path):
            os.ftruncate(self._descriptor, place.offset)


def entries_of(path: Path, start: Place | None = None) -> Iterator[tuple[JournalEntry, Place]]:
    """Yields the lines of a journal in their order, each with the place behind it; one in memory at a time.

    A last line without its line feed is what a crash leaves, and is none.

    Raises:
        StorageError: cannot be read.
        MalformedError: a line is not one.
        TamperedError: a line does not follow the one before.
    """
    place = start or Place()
    with words_for(path), os.fdopen(open_regular(path), "rb") as file:
        file.seek(place.offset)
        while (line := file.readline(LONGEST_LINE + 1)).endswith(b"\n"):
            entry = JournalEntry.from_line(line)
            if (entry.number, entry.previous) != (place.number + 1, place.digest):
                raise TamperedError(
                    f"{path}: line {entry.number} does not follow line {place.number}",
                    hint="the journal was changed; compare it with a copy",
                )
            place = place.after(line)
            yield entry, place
        if len(line) > LONGEST_LINE:
            raise MalformedError(f"{path}: a line after number {place.number} is too long")
