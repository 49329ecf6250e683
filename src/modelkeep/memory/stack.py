"""The stacks that runtimes compute on: what functions leave there stays until others come as deep."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Matrix products put a panel of 64 KiB of the weights there.
_DEEPEST = 256 * 2**10
# How much lower the stack may be in the call that overwrites than in the one that asks: much less than this.
_MARGIN = 2 * 2**10
# Where getcontext puts the stack pointer, from the C library's sys/ucontext.h.
_STACK_POINTER = {"x86_64": 160, "aarch64": 432}
_CONTEXT = 8192
_MOST_THREADS = 256


@contextlib.contextmanager
def stacks_overwritten() -> Iterator[None]:
    """Overwrites, at the end, what lies below on this stack, and on those of threads that ended within.

    The C library keeps the stacks of threads that ended for threads to come: as many are started, and do
    the same. Linux with the GNU C library alone; elsewhere nothing happens.
    """
    place = _STACK_POINTER.get(platform.machine())
    if place is None or sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        yield
        return
    before = _threads()
    try:
        yield
    finally:
        _overwrite(place)
        with contextlib.suppress(RuntimeError):  # no new threads, or none when Python ends
            _on_other_stacks(place, min(before - _threads(), _MOST_THREADS))


def _threads() -> int:
    return sum(1 for _ in Path("/proc", str(os.getpid()), "task").iterdir())


def _on_other_stacks(place: int, count: int) -> None:
    together = threading.Barrier(max(count, 1))

    def overwrite() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait()  # or one stack would serve them all
        _overwrite(place)

    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=overwrite, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        together.abort()
    for thread in started:
        thread.join()


def _overwrite(place: int) -> None:
    libc: Any = ctypes.CDLL(None)
    context = ctypes.create_string_buffer(_CONTEXT)
    if libc.getcontext(context) != 0:
        return
    top = int.from_bytes(context.raw[place : place + 8], "little") - _MARGIN
    start = max(top - _DEEPEST, _lowest(libc))
    if start < top:
        ctypes.memset(start, 0, top - start)


def _lowest(libc: Any) -> int:
    """Returns the lowest address that this thread's stack may reach, its guard left out."""
    attributes = ctypes.create_string_buffer(256)
    start, size, guard = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_size_t
    if libc.pthread_getattr_np(ctypes.c_size_t(libc.pthread_self()), attributes) != 0:
        return sys.maxsize
    libc.pthread_attr_getstack(attributes, ctypes.byref(start), ctypes.byref(size))
    libc.pthread_attr_getguardsize(attributes, ctypes.byref(guard))
    libc.pthread_attr_destroy(attributes)
    return start.value + guard.value + _MARGIN
