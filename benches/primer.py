"""Puts memory and page cache into the same state before every sample; a process of its own.

python -m benches.primer warm|cold BYTES [FILE...]
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from pathlib import Path

from benches.peer import PIECE


def touch(size: int) -> None:
    """Writes to every page of `size` bytes of memory and gives it back.

    Memory that a virtual machine's host has reclaimed is slow to touch; without this, whoever
    runs after a memory-hungry peer would find it warm.
    """
    with mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for position in range(0, size, mmap.PAGESIZE):
            memory[position] = 1


def warm(path: Path) -> None:
    """Reads a file once, so that it is in the page cache."""
    piece = bytearray(PIECE)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def cool(path: Path) -> None:
    """Asks the kernel to forget the cached pages of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def drop_caches() -> None:
    """Empties the page cache, where we are allowed to."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1")


if __name__ == "__main__":
    temperature, size, *files = sys.argv[1:]
    touch(int(size))
    for name in files:
        (warm if temperature == "warm" else cool)(Path(name))
    if temperature == "cold":
        drop_caches()
