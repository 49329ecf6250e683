"""The C heap that runtimes share with everybody: overwrite what they free.

`free` leaves the content in place, and blocks below a few megabytes stay with the process. The
GNU C library can overwrite each block as it is freed; other C libraries cannot, and there nothing
happens here. Blocks of its per-thread cache (about 1 KB and less) can escape.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any

_M_PERTURB = -6  # from glibc's malloc.h
_PATTERN = 0xFF

_LOCK = threading.Lock()
_blocks_open = 0


@contextlib.contextmanager
def freed_memory_overwritten() -> Iterator[None]:
    """Within the block, every thread's freed memory is overwritten, where the C library can do so."""
    _count(1)
    try:
        yield
    finally:
        _count(-1)


def overwrites() -> bool:
    """Returns whether this process can have freed memory overwritten."""
    return _mallopt() is not None


def _count(change: int) -> None:
    global _blocks_open  # noqa: PLW0603 - the setting is one of the process
    mallopt = _mallopt()
    if mallopt is None:
        return
    with _LOCK:
        _blocks_open += change
        mallopt(_M_PERTURB, _PATTERN if _blocks_open else 0)


@functools.cache
def _mallopt() -> Any:
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    # Musl and others have a mallopt that does nothing, or none.
    return libc.mallopt if libc is not None and hasattr(libc, "gnu_get_libc_version") else None
