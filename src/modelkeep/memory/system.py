"""What the operating system does with a range of memory: map, lock, advise, discard.

Outside Linux, advice is not given and `advise` says so; locking follows POSIX where it exists.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path
from typing import Any

HUGE_PAGE = 2 * 2**20
LARGEST_KEY = 64 * 2**10
# What larger regions leave of the locking limit for keys.
KEY_ROOM = 2**20

# From Linux's uapi/asm-generic/mman-common.h and mman.h; Python's mmap module has not all of them.
MADV_DONTNEED = 4
MADV_DONTFORK = 10
MADV_HUGEPAGE = 14
MADV_DONTDUMP = 16
MADV_DODUMP = 17
MADV_POPULATE_WRITE = 23
_MLOCK_ONFAULT = 1

_LIBC = ctypes.CDLL(None) if os.name == "posix" else None


def new_mapping(size: int) -> mmap.mmap:
    """Returns a private mapping of zeros that no file stands behind.

    Raises:
        OSError: the system has not enough memory.
    """
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def new_huge_mapping(size: int) -> mmap.mmap:
    """Returns a private mapping of at least `size` zeros, less than half a huge page longer.

    The kernel lays mappings of whole huge pages where it can use them, and others anywhere: with small pages
    at both ends, new memory takes three times as long.

    Raises:
        OSError: the system has not enough memory.
    """
    more = -size % HUGE_PAGE
    if sys.platform != "linux" or size <= HUGE_PAGE // 2:
        return new_mapping(size)
    region = new_mapping(size + more)
    if more >= HUGE_PAGE // 2:
        region.resize(size)
    return region


def address_of(buffer: Any) -> int:
    """Returns where a writable, contiguous buffer of at least one byte (or any array of ctypes) begins.

    Raises:
        TypeError: read-only, not contiguous, or not a buffer.
        ValueError: closed or empty.
    """
    if isinstance(buffer, ctypes.Array):
        return ctypes.addressof(buffer)
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def whole_pages(address: int, size: int) -> tuple[int, int]:
    """Returns start and length of the pages that lie entirely within the range."""
    start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
    return start, max(0, end - start)


def advise(address: int, size: int, advice: int) -> bool:
    """Returns whether the kernel took the advice for these pages; an empty range takes none."""
    return sys.platform == "linux" and size > 0 and _call("madvise", address, size, advice)


def lock(address: int, size: int) -> bool:
    """Returns whether the range is now kept out of swap, with room left to lock keys."""
    if size <= LARGEST_KEY:
        return _lock_range(address, size)
    # Asking the kernel is surer than arithmetic: privileges and other threads count too.
    with new_mapping(KEY_ROOM) as room:
        return _lock_range(address_of(room), KEY_ROOM) and _lock_range(address, size)


def forbid(address: int, size: int) -> None:
    """Makes whole pages fault for whoever touches them, where the system can."""
    if sys.platform == "linux" and size > 0:
        _call("mprotect", address, size, 0)


def discard(address: int, size: int) -> None:
    """Makes a private range read as zeros, and frees its whole pages where the system can."""
    start, length = whole_pages(address, size)
    if not advise(start, length, MADV_DONTNEED):
        ctypes.memset(address, 0, size)
        return
    ctypes.memset(address, 0, start - address)
    ctypes.memset(start + length, 0, address + size - start - length)


def _lock_range(address: int, size: int) -> bool:
    # Plain mlock makes all pages resident at once, on this one thread; prefer "when written".
    if sys.platform == "linux" and hasattr(_LIBC, "mlock2"):
        return _call("mlock2", address, size, _MLOCK_ONFAULT)
    return _call("mlock", address, size)


def _call(name: str, address: int, size: int, *more: int) -> bool:
    function = getattr(_LIBC, name, None)
    if function is None:
        return False
    return bool(function(ctypes.c_void_p(address), ctypes.c_size_t(size), *more) == 0)


def available_memory() -> int | None:
    """Returns how many bytes could be filled now, as the kernel estimates; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        (kibibytes,) = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        return int(kibibytes) * 1024
    except (OSError, ValueError, IndexError):
        return None
