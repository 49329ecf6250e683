"""Counts marked weights and keys in the memory of another process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.marked_models import MARK, MARK_BITS

# Fewer in a row are chance.
_IN_A_ROW = 4
_CHUNK = 16 * 2**20
_OVERLAP = 4 * 2 * _IN_A_ROW


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one moment.

    Attributes:
        weights: marked numbers of which at least four lie in a row.
        keys: places of the payload key.
    """

    weights: int
    keys: int


def look(pid: int, key: bytes) -> Found:
    """Reads all memory of a process; what the kernel hides even from root is not counted.

    Raises:
        PermissionError: this user may not read that process.
    """
    weights = keys = 0
    for chunk in _memory(pid):
        weights += marked(chunk)
        keys += chunk.count(key)
    return Found(weights, keys)


def marked(chunk: bytes) -> int:
    """Returns how many marked numbers of four bytes lie in `chunk` in rows, at any address."""
    return sum(_marked_at(np.frombuffer(chunk, np.uint8), shift) for shift in range(4))


def _marked_at(chunk: NDArray[np.uint8], shift: int) -> int:
    count = (len(chunk) - shift) // 4
    if count < _IN_A_ROW:
        return 0
    words = chunk[shift : shift + 4 * count].view(np.uint32)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (words & MARK_BITS) == MARK, [0])).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _IN_A_ROW].sum())


def _memory(pid: int) -> Iterator[bytes]:
    maps = Path("/proc", str(pid), "maps").read_text().splitlines()
    with Path("/proc", str(pid), "mem").open("rb", 0) as memory:
        for line in maps:
            span, mode, *rest = line.split(maxsplit=5)
            start, end = (int(each, 16) for each in span.split("-"))
            # Programs and libraries as they are on the disk hold nothing of a model.
            from_disk = len(rest) == 4 and rest[3].startswith("/") and not rest[3].startswith("/memfd:")
            if mode.startswith("rw") or (mode.startswith("r") and not from_disk):
                yield from _region(memory, start, end)


def _region(memory: Any, start: int, end: int) -> Iterator[bytes]:
    for place in range(start, end, _CHUNK):
        try:
            memory.seek(place)
            yield memory.read(min(_CHUNK + _OVERLAP, end - place))
        except (OSError, OverflowError, ValueError):  # secret memory, and the kernel's own pages
            continue
