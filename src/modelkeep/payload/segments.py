"""Segments of a sealed stream in a file: where they are, and which of them are the signed ones."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import NamedTuple

from modelkeep.errors import TamperedError
from modelkeep.manifest import LeafAlgorithm
from modelkeep.payload.layout import SEGMENT, sealed_range, sealed_size
from modelkeep.payload.source import read_fully
from modelkeep.payload.workers import InTurn

LEAF = 32


class Extent(NamedTuple):
    """A byte range of an open file that holds one stream.

    Attributes:
        descriptor: open file descriptor.
        offset: where the stream begins in the file, in bytes.
        size: length of the stream's plaintext, in bytes.
    """

    descriptor: int
    offset: int
    size: int

    def scratch(self) -> memoryview:
        """Returns new memory for any one sealed segment of this stream: at most 1 MiB."""
        return memoryview(bytearray(min(SEGMENT, sealed_size(self.size))))

    def read_segment(self, index: int, scratch: memoryview) -> memoryview:
        """Reads segment `index` into `scratch` and returns the part that was filled.

        Raises:
            TamperedError: the file ends before the segment does.
            OSError: the read failed.
        """
        start, end = sealed_range(index, self.size)
        view = scratch[: end - start]
        if read_fully(self.descriptor, view, self.offset + start) != len(view):
            raise TamperedError("payload: the file is shorter than its manifest says")
        return view


def check_leaf(index: int, sealed: memoryview, leaves: bytes, algorithm: LeafAlgorithm) -> None:
    """Raises TamperedError unless `sealed` is segment `index` of the stream with these signed leaves."""
    if algorithm.digest(sealed) != leaves[LEAF * index : LEAF * (index + 1)]:
        raise TamperedError(
            f"payload: segment {index} is not the one that was signed",
            hint="fetch it again; if it stays so, somebody changed it",
        )


class SignedSegments:
    """Reads segments of a stream; only those whose digest is the signed one come out."""

    def __init__(self, extent: Extent, leaves: bytes, algorithm: LeafAlgorithm) -> None:
        self._extent, self._leaves, self._algorithm = extent, leaves, algorithm

    def read(self, index: int, scratch: memoryview) -> memoryview:
        """Reads segment `index` into `scratch` and returns it.

        Raises:
            TamperedError: it is not the one that was signed.
            OSError: the read failed.
        """
        sealed = self._extent.read_segment(index, scratch)
        check_leaf(index, sealed, self._leaves, self._algorithm)
        return sealed


class WholeSha256:
    """SHA-256 over a whole stream, segment by segment in their order; idle when not asked for."""

    def __init__(self, expected: bytes | None) -> None:
        self._expected, self._whole = expected, hashlib.sha256()

    def take(self, sealed: memoryview) -> None:
        """Takes the next segment."""
        if self._expected is not None:
            self._whole.update(sealed)

    def in_turn(self, sealed: memoryview) -> InTurn | None:
        """Returns what is left to do for a segment in its turn."""
        return None if self._expected is None else partial(self._whole.update, sealed)

    def check(self) -> None:
        """Raises TamperedError unless the stream is the one that was signed."""
        if self._expected is not None and self._whole.digest() != self._expected:
            raise TamperedError("payload: a file is not the one that was signed")
