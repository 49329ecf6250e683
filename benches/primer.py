"""Puts memory and page cache into the same state before every sample; a process of its own.

    python -m benches.primer warm|cold ORDINARY HUGE [FILE...]

ORDINARY and HUGE are the bytes of memory to touch in pages of either kind.

It prints a line when it is done, and holds its memory until its standard input is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
from pathlib import Path

from benches.peer import PIECE


def touched(size: int, *, huge: bool) -> mmap.mmap:
    """Returns `size` bytes of memory of which every page was written to.

    The host of a virtual machine takes back memory that is free for a second or two, in blocks of
    a huge page, and touching it again costs up to 2 processor seconds per GB. Whoever runs after
    a hungry peer would be spared that.
    """
    memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if huge:
        memory.madvise(mmap.MADV_HUGEPAGE)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1, size)
    return memory


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
    temperature, ordinary, large, *files = sys.argv[1:]
    for name in files:
        (warm if temperature == "warm" else cool)(Path(name))
    if temperature == "cold":
        drop_caches()
    with touched(int(large), huge=True), touched(int(ordinary), huge=False):
        print("primed", flush=True)
        sys.stdin.read()
