"""A process gives up what a model does not need, as far as this kernel lets it.

Three steps: before anything is imported, before the model is parsed, and when it is ready. Nothing is
skipped in silence: what could not be done is listed in the result.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from modelkeep.errors import UnavailableError
from modelkeep.isolation import landlock, privileges, seccomp, system_calls


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


def before_imports(parent: int, channel: int) -> Hardening:
    """Gives up dumps, debuggers, privileges, writing, networks, programs; before there are threads.

    Args:
        parent: id of the process that started this one.
        channel: descriptor of the channel to it, the only one to keep.

    Raises:
        UnavailableError: this system lets everybody read this process, or somebody debugs it already.
    """
    done = _privileges(parent, channel)
    done += _attempt(lambda: landlock.restrict(readable(_OWN)), "landlock")
    return done + _attempt(_only_starting, "seccomp")


def before_forking(parent: int, channel: int) -> None:
    """Gives up the same in a process that makes copies of itself, as far as the copies can do without it.

    Raises:
        UnavailableError: see `before_imports`.
    """
    _privileges(parent, channel)
    # A copy may read what the kernel tells of itself, which has not been made yet; it gives up the rest.
    _attempt(lambda: landlock.restrict(readable("/proc")), "landlock")
    _attempt(_only_forking, "seccomp")


def _privileges(parent: int, channel: int) -> Hardening:
    if sys.platform != "linux":
        raise UnavailableError("isolated processes need Linux", hint="leave `isolation` out")
    _required("no core dumps", privileges.forbid_dumps)
    _required("no new privileges", privileges.forbid_new_privileges)
    _refuse_tracer()
    _required("no capabilities", lambda: privileges.drop_capabilities(but_locking=True))
    _required("the session", lambda: privileges.end_with(parent))
    keep_open(channel)
    return Hardening(
        (
            *("no core dumps", "no debugger, no reader of memory", "no new privileges", "no capabilities"),
            "no terminal",
            "ends with the session",
        ),
        (),
    )


def before_loading() -> Hardening:
    """Gives up, before anything of the model is parsed, what only importing and decrypting need.

    Raises:
        UnavailableError: see `before_imports`.
    """
    _required("no capabilities", privileges.drop_capabilities)
    return _attempt(_only_loading, "seccomp")


def after_loading(channel: int) -> Hardening:
    """Gives up looking at files, in all threads, and what the runtime left open."""
    close_files(channel)
    return _attempt(_only_serving, "seccomp")


def readable(process: str) -> tuple[str, ...]:
    """Returns the folders and files that an interpreter and its libraries read.

    Args:
        process: the folder in which the kernel tells of this process.

    Raises:
        UnavailableError: one of them can be read with the privileges of root alone.
    """
    for path in filter(os.path.exists, sys.path):
        if os.geteuid() == 0 and not os.access(path, os.R_OK):
            raise UnavailableError(
                f"the isolated process cannot read {path}",
                hint="install it where it can be read without the privileges of root",
            )
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    libraries = [os.path.join(prefix, name) for prefix in prefixes for name in ("lib", "lib64")]  # noqa: PTH118
    asked = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    return (*_SYSTEM, process, own, *filter(None, (*sys.path, *libraries, *asked)))


# Libraries, and what runtimes ask of processors and memory.
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm"),
    *("/sys/devices/system", "/sys/kernel/mm", "/sys/fs/cgroup"),
)
_OWN = "/proc/self"
_STANDARD = 3  # input, output, errors


def keep_open(channel: int) -> None:
    """Closes every descriptor but the channel and the standard ones."""
    os.closerange(_STANDARD, channel)
    os.closerange(channel + 1, max(_descriptors(), default=channel) + 1)


def close_files(channel: int) -> None:
    """Closes what has a name in the file system, is a pipe or a socket, and is not ours."""
    for descriptor in _descriptors():
        if descriptor >= _STANDARD and descriptor != channel:
            with suppress(OSError):
                _close_unless_in_memory(descriptor)


def _close_unless_in_memory(descriptor: int) -> None:
    found = os.fstat(descriptor)
    nameless = stat.S_IFMT(found.st_mode) == 0 or (stat.S_ISREG(found.st_mode) and found.st_nlink == 0)
    if not nameless:
        os.close(descriptor)


def _descriptors() -> Iterable[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208


def _refuse_tracer() -> None:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123
        tracer = next(line.split()[1] for line in status if line.startswith("TracerPid:"))
    if tracer != "0":
        raise UnavailableError("a debugger is attached to the isolated process", hint="detach it")


def _only_forking() -> tuple[str, ...]:
    seccomp.install(system_calls.forking())
    return ()


def _only_starting() -> tuple[str, ...]:
    seccomp.install(system_calls.starting())
    return ("seccomp: no sockets, no programs, no other processes, no files but to read",)


def _only_loading() -> tuple[str, ...]:
    seccomp.install(system_calls.loading())
    return ("seccomp: no memory that does not count",)


def _only_serving() -> tuple[str, ...]:
    seccomp.install(system_calls.serving())
    return ("seccomp: nothing but computing",)


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
