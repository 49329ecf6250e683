"""A process gives up what a model does not need, as far as this kernel lets it.

Nothing is skipped in silence: what could not be done is listed in the result.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelkeep.errors import UnavailableError
from modelkeep.isolation import landlock, seccomp

# From Linux's uapi/linux/prctl.h.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38


@dataclass(frozen=True, slots=True)
class Hardening:
    """What the process that holds a model has given up.

    Attributes:
        in_force: what the kernel enforces.
        missing: what it does not, with the reason.
    """

    in_force: tuple[str, ...]
    missing: tuple[str, ...]

    def __add__(self, other: Hardening) -> Hardening:
        return Hardening(self.in_force + other.in_force, self.missing + other.missing)


def before_imports() -> Hardening:
    """Gives up dumps, debuggers, new privileges, writing, networks, programs; before there are threads.

    Raises:
        UnavailableError: this system lets everybody read this process, or somebody debugs it already.
    """
    if sys.platform != "linux":
        raise UnavailableError("isolated processes need Linux", hint="leave `isolation` out")
    _required("no core dumps", _no_core)
    _required("not dumpable", lambda: _prctl(_PR_SET_DUMPABLE, 0))
    _required("no new privileges", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1))
    _refuse_tracer()
    done = Hardening(("no core dumps", "no debugger, no reader of memory", "no new privileges"), ())
    files = _attempt(landlock.restrict, "landlock")
    done += files + _attempt(_no_system, "seccomp")
    return done if files.in_force else done + _attempt(_no_writing, "seccomp")


def after_loading() -> Hardening:
    """Gives up opening files, in all threads."""
    return _attempt(_no_opening, "seccomp")


def _no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _prctl(option: int, value: int) -> None:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    nothing = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), nothing, nothing, nothing) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _refuse_tracer() -> None:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 - pathlib is not imported yet
        tracer = next(line.split()[1] for line in status if line.startswith("TracerPid:"))
    if tracer != "0":
        raise UnavailableError("a debugger is attached to the isolated process", hint="detach it")


def _no_system() -> tuple[str, ...]:
    seccomp.install(seccomp.early_rules())
    return ("seccomp: no sockets, no programs, no other processes",)


def _no_writing() -> tuple[str, ...]:
    seccomp.install(seccomp.writing_rules())
    return ("seccomp: no files are opened for writing",)


def _no_opening() -> tuple[str, ...]:
    seccomp.install(seccomp.late_rules())
    return ("seccomp: no files are opened any more",)


def _required(name: str, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        raise UnavailableError(f"isolated process: {name}: {error.strerror}") from error


def _attempt(action: Callable[[], tuple[str, ...]], name: str) -> Hardening:
    try:
        return Hardening(action(), ())
    except OSError as error:
        return Hardening((), (f"{name}: {error.strerror or error}",))
