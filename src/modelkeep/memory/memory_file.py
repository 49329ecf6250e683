"""MemoryFile: a file that has a path and a descriptor, but no disk."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Callable
from typing import Any

from modelkeep.errors import UnavailableError
from modelkeep.memory import system
from modelkeep.memory.pages import Memory, words_for_allocation

# From Linux's uapi/linux/fcntl.h; Python's fcntl module has not all of them.
_F_ADD_SEALS = 1033
_SEAL, _SHRINK, _GROW, _FUTURE_WRITE = 0x01, 0x02, 0x04, 0x10


class MemoryFile(Memory):
    """A Linux memfd: whoever opens it can read it, only its maker can write it, through `view`.

    A process that this one forks or hands the descriptor to can read it too, until `close` wipes
    it for everybody. Its content stays out of core dumps of this process.

    Attributes:
        descriptor: a descriptor of the file, not inherited by programs that are started.
    """

    descriptor: int

    @classmethod
    def allocate(cls, size: int) -> MemoryFile:
        """Makes a file of `size` zeros that become resident only when they are written.

        Raises:
            UnavailableError: there is not enough memory, or this is not Linux.
            UsageError: `size` is negative.
        """
        if not hasattr(os, "memfd_create"):
            raise UnavailableError("files in memory need Linux", hint="choose a runtime that needs no path")
        with contextlib.ExitStack() as on_error, words_for_allocation(size):
            descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            on_error.callback(os.close, descriptor)
            os.ftruncate(descriptor, size)
            region = mmap.mmap(descriptor, size) if size else system.new_mapping(1)
            # From here on nobody gets another way to write; the mapping above stays writable.
            fcntl.fcntl(descriptor, _F_ADD_SEALS, _SEAL | _SHRINK | _GROW | _FUTURE_WRITE)
            address = system.address_of(region)
            system.advise(address, len(region), system.MADV_DONTDUMP)
            locked = system.lock(address, len(region))
            on_error.pop_all()
        memory = cls(region, size, locked=locked, huge=False, release=_releaser(region, descriptor))
        memory.descriptor = descriptor
        return memory

    @property
    def path(self) -> str:
        """A path that opens this file in this process, and in one that inherits `descriptor`.

        Raises:
            UsageError: closed, or this is a forked child of the process that owns the memory.
        """
        self._opened()
        return f"/proc/self/fd/{self.descriptor}"

    def _drop_copy(self) -> None:
        """Lets go of the file in a forked child; clearing it would clear it for the parent too."""
        self._buffer = None
        held = self._finalizer.detach()
        if held is not None:
            *_place, release = held[2]
            with contextlib.suppress(BufferError):
                release()


def _releaser(region: Any, descriptor: int) -> Callable[[], None]:
    def release() -> None:
        os.close(descriptor)
        region.close()

    return release
