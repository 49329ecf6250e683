"""Pages and BytesPages: one buffer, one owner process, one wipe."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

from modelkeep.errors import UnavailableError, UsageError
from modelkeep.memory import system

# The allocator lays large objects beside huge pages, and one fault for each page takes twice as long as all
# at once. Beyond this length several threads fill the memory, and share the faults.
_TAKEN_AT_ONCE = 16 * 2**20


class Memory:
    """A writable buffer that belongs to one process and is wiped once; leaving its block closes it.

    Keep the object for as long as its views are in use: when it is collected, they read zeros.

    Attributes:
        size: length in bytes.
        locked: the operating system promised not to swap this memory out.
        huge: huge pages were asked for.
    """

    def __init__(
        self, buffer: Any, size: int, *, locked: bool, huge: bool, release: Callable[[], object]
    ) -> None:
        self.size = size
        self.locked = locked
        self.huge = huge
        self._buffer = buffer
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(
            self, _dispose, system.address_of(buffer), size, self._owner, release
        )
        _LIVE.add(self)

    @property
    def view(self) -> memoryview:
        """A writable view of format ``B``, exactly `size` bytes long.

        Raises:
            UsageError: closed, or this is a forked child of the process that owns the memory.
        """
        return memoryview(self._opened()).cast("B")[: self.size]

    @property
    def closed(self) -> bool:
        """Whether the content is gone."""
        return self._buffer is None or not self._finalizer.alive

    def close(self) -> None:
        """Overwrites the content with zeros and gives the memory back; again does nothing.

        Views and arrays that others still hold read zeros from now on; the memory itself is freed
        when the last of them goes. Threads that write into it must have ended before.
        """
        # First, so that a fork from now on leaves alone what may be somebody else's memory soon.
        self._buffer = None
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def _opened(self) -> Any:
        buffer = self._buffer
        if buffer is None or not self._finalizer.alive:
            raise UsageError("this memory is closed and its content wiped")
        if os.getpid() != self._owner:
            raise UsageError(
                "this memory belongs to the parent process and is not there after a fork",
                hint="open the model in the process that uses it, or start children with spawn",
            )
        return buffer

    def _drop_copy(self) -> None:
        """Clears what a forked child got of the parent's content, and makes whole pages unreadable."""
        if not self.closed:
            address = system.address_of(self._buffer)
            system.discard(address, self.size)
            system.forbid(*system.whole_pages(address, self.size))
            _keep_for_ever(self._buffer)


class Pages(Memory):
    """A private anonymous mapping: huge pages when large, locked as far as allowed, never dumped."""

    @classmethod
    def allocate(cls, size: int, *, lock: bool = True) -> Pages:
        """Maps `size` bytes of zeros, which become resident only when they are written.

        Args:
            size: length in bytes; zero is fine.
            lock: keep the memory out of swap. A refusal is no error, `locked` tells. More than
                64 KiB is locked only if another 1 MiB can be, so that weights never use up the
                limit (RLIMIT_MEMLOCK) that keys need.

        Raises:
            UnavailableError: there is not enough memory.
            UsageError: `size` is negative.
        """
        with words_for_allocation(size):
            region = system.new_huge_mapping(max(size, 1))
            address = system.address_of(region)
            system.advise(address, len(region), system.MADV_DONTDUMP)
            # Whoever computes on it in a forked child faults, instead of taking zeros for weights.
            system.advise(address, len(region), system.MADV_DONTFORK)
            huge = len(region) >= system.HUGE_PAGE and system.advise(
                address, len(region), system.MADV_HUGEPAGE
            )
            locked = lock and system.lock(address, len(region))
            return cls(region, size, locked=locked, huge=huge, release=region.close)

    def _drop_copy(self) -> None:
        """Clears nothing where a forked child got nothing."""
        if sys.platform != "linux":
            super()._drop_copy()
        elif not self.closed:
            # Something else may lie there by the time that Python would unmap it.
            _keep_for_ever(self._buffer)


class BytesPages(Memory):
    """A `bytes` object that is created empty, filled through `view` and wiped in place.

    Hand out `value` only when it is filled: from then on others take it for immutable. Its first
    and last page are shared with other objects, hence it is never locked, and what lies on those
    two pages can appear in a core dump.
    """

    @classmethod
    def allocate(cls, size: int) -> BytesPages:
        """Creates a `bytes` object of `size` bytes whose content is undefined until it is written.

        Raises:
            UnavailableError: there is not enough memory, or this Python is not CPython.
            UsageError: `size` is negative.
        """
        if sys.implementation.name != "cpython":
            raise UnavailableError("bytes can be filled in place on CPython only", hint="run it with CPython")
        with words_for_allocation(size):
            value = _new_bytes(size)
        array: Any = (ctypes.c_char * size).from_address(id(value) + bytes.__basicsize__ - 1)
        array.value_behind = value  # as long as a view lives, so does the memory under it
        start, length = system.whole_pages(system.address_of(array), size)
        system.advise(start, length, system.MADV_DONTDUMP)
        huge = size >= system.HUGE_PAGE and system.advise(start, length, system.MADV_HUGEPAGE)
        if size <= _TAKEN_AT_ONCE:
            system.advise(start, length, system.MADV_POPULATE_WRITE)
        return cls(array, size, locked=False, huge=huge, release=functools.partial(_allow_dump, array))

    @property
    def value(self) -> bytes:
        """The `bytes` object itself, no copy; it reads as zeros after `close`.

        Raises:
            UsageError: closed, or this is a forked child of the process that owns the memory.
        """
        value: bytes = self._opened().value_behind
        return value


class MemoryReport(NamedTuple):
    """How the memory of a session is held.

    Attributes:
        locked_bytes: bytes that cannot be swapped out.
        unlocked_bytes: bytes that can.
        huge: huge pages were asked for somewhere.
    """

    locked_bytes: int
    unlocked_bytes: int
    huge: bool


def report(*pages: Memory) -> MemoryReport:
    """Returns the totals over `pages`."""
    return MemoryReport(
        locked_bytes=sum(memory.size for memory in pages if memory.locked),
        unlocked_bytes=sum(memory.size for memory in pages if not memory.locked),
        huge=any(memory.huge for memory in pages),
    )


def _keep_for_ever(buffer: Any) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(buffer))


def _dispose(address: int, size: int, owner: int, release: Callable[[], object]) -> None:
    # A forked child has no content to wipe, and something else may lie at that address.
    if os.getpid() != owner:
        return
    ctypes.memset(address, 0, size)
    with contextlib.suppress(BufferError):
        release()


@contextlib.contextmanager
def words_for_allocation(size: int) -> Iterator[None]:
    """Turns failures to allocate `size` bytes into ours.

    Raises:
        UnavailableError: there is not enough memory.
        UsageError: `size` is negative.
    """
    if size < 0:
        raise UsageError(f"cannot allocate {size} bytes")
    try:
        if size > sys.maxsize:
            raise MemoryError
        yield
    except (MemoryError, OverflowError, OSError) as error:
        raise _refused(error, size) from error


def _refused(error: MemoryError | OverflowError | OSError, size: int) -> UnavailableError:
    # What is a file in memory takes descriptors, too: a model of many files more than most limits allow.
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return UnavailableError(
            "too many open files", hint="raise the limit (ulimit -n): each file of a model takes two"
        )
    return UnavailableError(
        f"not enough memory for {size} bytes", hint="free some memory or use a smaller model"
    )


def _new_bytes(size: int) -> bytes:
    # Without content to copy, CPython makes a new object even for one byte, not the shared one.
    # For none it returns the shared b"", into which nobody can write.
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)
    create: Callable[[None, int], bytes] = prototype(("PyBytes_FromStringAndSize", ctypes.pythonapi))
    return create(None, size)


def _allow_dump(array: Any) -> None:
    """Makes heap pages ordinary again before the allocator hands them to others."""
    system.advise(*system.whole_pages(system.address_of(array), len(array)), system.MADV_DODUMP)


_LIVE: weakref.WeakSet[Memory] = weakref.WeakSet()


def _drop_copies_in_child() -> None:
    # MADV_DONTFORK does this for mappings; heap pages cannot have it, because the allocator
    # reuses them and a later fork would take somebody else's objects away.
    for memory in list(_LIVE):
        memory._drop_copy()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_copies_in_child)
