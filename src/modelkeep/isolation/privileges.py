"""What a process of the same user, or of root, could still do by what it is: given up one by one.

Source: Linux, prctl(2), capabilities(7) and uapi/linux/prctl.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from contextlib import suppress
from typing import Any

from modelkeep.errors import UnavailableError

_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT = 1, 4, 24, 38, 47
_CLEAR_ALL = 4
_SIGKILL = 9
_CAPABILITY_VERSION = 0x20080522
_MOST_CAPABILITIES = 64
_LOCKING = 1 << 14


def forbid_dumps() -> None:
    """No core dump, no debugger, no reader of memory among processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_SET_DUMPABLE, 0)


def forbid_core_dumps() -> None:
    """Has the kernel write no core dump of this process from now on, nor hand one to a program.

    Processes of the same user cannot read its memory or debug it any more either, and its files in
    ``/proc`` belong to root. What it forks inherits that; programs that it starts do not.

    Raises:
        UnavailableError: this needs Linux, or the kernel refuses.
    """
    if sys.platform != "linux":
        raise UnavailableError("forbidding dumps needs Linux", hint="forbid them for the whole system")
    try:
        forbid_dumps()
    except OSError as error:
        raise UnavailableError(f"core dumps cannot be forbidden: {error.strerror}") from error


def forbid_new_privileges() -> None:
    """No program that this process could start has more rights than it."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def end_with(parent: int) -> None:
    """The kernel ends this process when the thread that started it ends, whatever it is doing.

    Raises:
        ProcessLookupError: that happened already.
    """
    _prctl(_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        raise ProcessLookupError(errno.ESRCH, "the session has ended")


def drop_capabilities(*, but_locking: bool = False) -> None:
    """Leaves root a user like any other.

    Args:
        but_locking: keep the capability to lock memory, where the limit on it cannot be raised.
    """
    kept = _LOCKING if but_locking and not _locks_without_limit() else 0
    for capability in range(_MOST_CAPABILITIES):
        with suppress(OSError):  # past the last one, or without the right to drop, and so to gain, any
            _prctl(_CAPBSET_DROP, capability)
    with suppress(OSError):  # unknown before Linux 4.3
        _prctl(_CAP_AMBIENT, _CLEAR_ALL)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    held = ctypes.create_string_buffer(24)
    _checked(_libc().capget(header, held))
    permitted = struct.unpack("=6I", held.raw)[1] & kept
    wanted = struct.pack("=6I", permitted, permitted, *[0] * 4)
    _checked(_libc().capset(header, ctypes.create_string_buffer(wanted)))


def _locks_without_limit() -> bool:
    """Raises the limit on locked memory as far as this user may; returns whether there is none now."""
    unlimited = resource.RLIM_INFINITY
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    for limit in (unlimited, hard):
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
            return limit == unlimited
    return False


def _prctl(option: int, value: int) -> None:
    nothing = ctypes.c_ulong(0)
    _checked(_libc().prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
