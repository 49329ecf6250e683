"""The C heap that runtimes share with everybody: overwrite what they free.

`free` leaves the content in place, and blocks below a few megabytes stay with the process. The
GNU C library can overwrite each block as it is freed, except those that it keeps at hand for the same
thread (about 1 KB and less): these are taken out, overwritten and given back. Other C libraries cannot, and
there nothing happens here.
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
# What a thread keeps at hand: blocks of these sizes, and so many of each; more since version 2.42.
_SIZES = range(24, 1033, 16)
_KEPT, _KEPT_NOW = 7, 16

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
    return _libc() is not None


def _count(change: int) -> None:
    global _blocks_open  # noqa: PLW0603 - the setting is one of the process
    libc = _libc()
    if libc is None:
        return
    with _LOCK:
        _blocks_open += change
        libc.mallopt(_M_PERTURB, _PATTERN if _blocks_open else _set_by_the_operator())


@functools.cache
def _set_by_the_operator() -> int:
    """Returns what the process was started with, in one of the two ways that the C library knows."""
    value = os.environ.get("MALLOC_PERTURB_", "")
    for tunable in os.environ.get("GLIBC_TUNABLES", "").split(":"):
        name, _, setting = tunable.partition("=")
        value = setting if name == "glibc.malloc.perturb" else value
    try:
        return int(value, 0) & 0xFF
    except ValueError:
        return 0


def overwrite_small_blocks() -> None:
    """Overwrites the small blocks that this thread freed and that are kept at hand for it."""
    libc = _libc()
    if libc is None:
        return
    blocks = [(libc.malloc(size), size) for size in _SIZES for _ in range(_kept(libc))]
    for address, size in blocks:
        if address:
            ctypes.memset(address, _PATTERN, size)
            libc.free(address)


@functools.cache
def _kept(libc: Any) -> int:
    libc.gnu_get_libc_version.restype = ctypes.c_char_p
    version = tuple(int(part) for part in libc.gnu_get_libc_version().split(b".")[:2])
    return _KEPT if version < (2, 42) else _KEPT_NOW


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    # Musl and others have a mallopt that does nothing, or none.
    if libc is None or not hasattr(libc, "gnu_get_libc_version"):
        return None
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    return libc
