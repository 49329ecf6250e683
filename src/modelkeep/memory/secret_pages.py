"""SecretPages: memory that the kernel takes out of its own map."""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import sys
import weakref
from typing import Any

from modelkeep.errors import UnavailableError
from modelkeep.memory import system
from modelkeep.memory.pages import Memory, words_for_allocation

_MEMFD_SECRET = 447  # the same on every architecture that has it
_FAILED = ctypes.c_void_p(-1).value


class SecretPages(Memory):
    """A Linux memfd_secret mapping: no other process can read it, not even one of root.

    It is never swapped or dumped, and counts against the limit on locked memory (RLIMIT_MEMLOCK).
    """

    @classmethod
    def allocate(cls, size: int) -> SecretPages:
        """Maps `size` bytes of zeros; zero is fine.

        Raises:
            UnavailableError: the kernel has no such memory, or the limit does not allow as much.
            UsageError: `size` is negative.
        """
        with words_for_allocation(size):
            descriptor = _descriptor()
            try:
                os.ftruncate(descriptor, max(size, 1))
                region = _map(descriptor, max(size, 1))
            finally:
                # Whoever took the descriptor from this process could map the memory.
                os.close(descriptor)
        return cls(region, size, locked=True, huge=False, release=functools.partial(_let_go, region))

    def _drop_copy(self) -> None:
        """Does nothing: a forked child gets no copy."""


def _descriptor() -> int:
    if sys.platform != "linux":
        raise UnavailableError("secret memory needs Linux", hint="leave `secret` out")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    descriptor = int(libc.syscall(_MEMFD_SECRET, os.O_CLOEXEC))
    if descriptor < 0:
        raise UnavailableError(
            f"this kernel gives no secret memory: {os.strerror(ctypes.get_errno())}",
            hint="it needs Linux 5.14 or later, before 6.5 started with secretmem.enable=1",
        )
    return descriptor


def _map(descriptor: int, size: int) -> Any:
    # Python's own mmap would keep a duplicate of the descriptor.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, descriptor, 0)
    if address == _FAILED:
        raise _refused(size, ctypes.get_errno())
    region = (ctypes.c_char * size).from_address(address)
    # Views keep the region alive, and the region the mapping.
    weakref.finalize(region, _unmap, libc, address, size, os.getpid()).atexit = False
    if not system.advise(address, size, system.MADV_DONTFORK):
        raise OSError(errno.ENOTSUP, "cannot keep secret memory from forked children")
    return region


def _unmap(libc: Any, address: int, size: int, owner: int) -> None:
    # In a forked child something else may lie there.
    if os.getpid() == owner:
        libc.munmap(address, size)


def _refused(size: int, number: int) -> Exception:
    if number != errno.EAGAIN:
        return OSError(number, os.strerror(number))
    return UnavailableError(
        f"the limit on locked memory does not allow {size} bytes of secret memory",
        hint="raise RLIMIT_MEMLOCK (ulimit -l), or leave `secret` out",
    )


def _let_go(_region: Any) -> None:
    """Holds the region until it is wiped; the mapping ends with its last view."""
