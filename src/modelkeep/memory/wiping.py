"""Wiping buffers that others allocated."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Iterator

from modelkeep.errors import UsageError
from modelkeep.memory import system


def wipe(buffer: bytearray | memoryview | mmap.mmap) -> None:
    """Overwrites a writable buffer (bytearray, memoryview, array, mapping) with zeros.

    Raises:
        UsageError: it is read-only, released, or not contiguous in memory.
    """
    try:
        size = memoryview(buffer).nbytes
        if size:
            ctypes.memset(system.address_of(buffer), 0, size)
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot wipe this {type(buffer).__name__}: {error}") from None


@contextlib.contextmanager
def wiped(size: int) -> Iterator[bytearray]:
    """Yields `size` zero bytes that are wiped when the block is left.

    The length is fixed within the block, since growing could leave a copy behind.

    Raises:
        UsageError: `size` is negative.
    """
    if size < 0:
        raise UsageError(f"cannot allocate {size} bytes")
    buffer = bytearray(size)
    with memoryview(buffer):
        try:
            yield buffer
        finally:
            wipe(buffer)
