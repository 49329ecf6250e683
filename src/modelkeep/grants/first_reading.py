"""A list that is read several times, since it may be too long to keep: what it said first is what counts."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterator

from modelkeep.errors import UsageError
from modelkeep.grants.grant_lines import Line
from modelkeep.memory.randomness import random_bytes

# Enough where nobody knows the key.
_MARK_BYTES = 8
_KEY_BYTES = 16


class FirstReading:
    """What the lines of a list were when somebody looked at all of them: eight bytes for each."""

    def __init__(self) -> None:
        self._key = random_bytes(_KEY_BYTES)
        self._marks = array("Q")

    def note(self, line: Line) -> None:
        """Takes the next line."""
        self._marks.append(self._mark(line))

    def held(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Yields the lines of a later reading, each held against what it was.

        Raises:
            UsageError: the list is another one now.
        """
        for mark, line in itertools.zip_longest(self._marks, lines):
            if line is None or mark != self._mark(line):
                raise UsageError(
                    "the list of devices was changed while it was read",
                    hint="look at it, then run the same command again",
                )
            yield line

    def _mark(self, line: Line) -> int:
        digest = hashlib.blake2b(line[1], digest_size=_MARK_BYTES, key=self._key).digest()
        return int.from_bytes(digest)
