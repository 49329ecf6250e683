"""What the process of a model may ask the kernel for. What is not listed here, it may not.

The lists were learned by tracing ONNX Runtime, OpenVINO and LiteRT over convolutions, recurrent networks and
matrix products with one to four threads, and hold what two C libraries need for threads and memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

# name -> number, where it has one: x86-64, arm64 (which is the kernel's generic table).
NUMBERS: Mapping[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "capget": (125, 90),
    "capset": (126, 91),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "ioctl": (16, 29),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "clone": (56, 220),
    "exit": (60, 93),
    "uname": (63, 160),
    "fcntl": (72, 25),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "dup2": (33, None),
    "dup3": (292, 24),
    "setsid": (112, 157),
    "wait4": (61, 260),
    "kill": (62, 129),
    "prctl": (157, 167),
    "arch_prctl": (158, None),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_setaffinity": (203, 122),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "set_tid_address": (218, 96),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "tgkill": (234, 131),
    "mbind": (237, 235),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "preadv": (295, 69),
    "prlimit64": (302, 261),
    "getcpu": (309, 168),
    "seccomp": (317, 277),
    "getrandom": (318, 278),
    "memfd_create": (319, 279),
    "membarrier": (324, 283),
    "mlock2": (325, 284),
    "statx": (332, 291),
    "rseq": (334, 293),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "faccessat2": (439, 439),
    "memfd_secret": (447, 447),
    "futex_waitv": (449, 449),
}


@dataclass(frozen=True, slots=True)
class Test:
    """A look at one argument, of which a filter sees the number but not what it points to.

    Attributes:
        argument: which, from 0.
        value: what it must be, in the bits of `mask`.
        mask: which bits count.
        upper: look at the upper 32 bits instead of the lower.
    """

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    upper: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is allowed if all tests hold; several of one name are alternatives."""

    name: str
    tests: tuple[Test, ...] = ()


_WHOLE = 0xFFFFFFFF
# From Linux's uapi headers; the same for both processors.
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN, _MAP_LOCKED = 0x01, 0x20, 0x0100, 0x2000
_THREAD, _THREAD_OF_MUSL = 0x003D0F00, 0x007D0F00
_COPY, _COPY_OF_MUSL = 0x01200011, 0x11
_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC, _F_ADD_SEALS, _F_GET_SEALS = 1, 2, 3, 1030, 1033, 1034
_TCGETS, _FIOCLEX, _FIONBIO = 0x5401, 0x5451, 0x5421
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47
# Questions about, and the request for, the registers of matrix units.
_MATRIX_UNITS = (0x1021, 0x1022, 0x1023)
_O_LARGEFILE = 0o400000 | 0o100000
_READING = os.O_CLOEXEC | os.O_NONBLOCK | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOCTTY | _O_LARGEFILE
_NOT_READING = _WHOLE & ~_READING
_SET_FILTER, _ALL_THREADS = 1, 1

# What programs ask for so often that they take a plain refusal better than a call that does not exist.
OPENING = ("open", "openat")


def serving() -> list[Call]:
    """Returns what computing takes: memory, threads of its own, the clock, and what is open already."""
    return [*_plain(_SERVING), *_memory(), *_threads(), *_own_state()]


def loading() -> list[Call]:
    """Returns what loading a model takes beyond that: looking at files and reading them."""
    return [*serving(), *_plain(_LOOKING), *_reading(), _next_filter()]


def starting() -> list[Call]:
    """Returns what importing a runtime and decrypting take beyond that: memory to decrypt into."""
    limits = Call("prlimit64", (Test(0, 0),))
    seals = Call("fcntl", (Test(1, _F_ADD_SEALS),))
    return [*loading(), *_plain(_STARTING), seals, limits]


def forking() -> list[Call]:
    """Returns what it takes beyond that to make copies of a process, and for a copy to give up the rest."""
    giving_up = (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT)
    return [
        *(call for call in starting() if call.name != "tgkill"),
        *_plain(_FORKING),
        *(Call("clone", (Test(0, flags),)) for flags in (_COPY, _COPY_OF_MUSL)),
        *(Call("prctl", (Test(0, option),)) for option in giving_up),
        Call("openat", (Test(2, os.O_PATH | os.O_CLOEXEC),)),
        Call("ioctl", (Test(1, _FIONBIO),)),
    ]


_SERVING = (
    *("read", "write", "readv", "writev", "pread64", "lseek", "close", "fstat", "poll", "ppoll"),
    *("sendmsg", "recvmsg", "sendto", "recvfrom"),
    *("brk", "munmap", "mprotect", "mremap", "madvise", "mbind"),
    *("futex", "futex_waitv", "set_robust_list", "set_tid_address", "rseq", "membarrier", "getcpu"),
    *("sched_yield", "sched_getaffinity", "exit", "exit_group", "restart_syscall"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times"),
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid"),
    *("getrlimit", "getrusage", "sysinfo", "uname", "getrandom"),
)
_LOOKING = (
    *("stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"),
    *("readlink", "readlinkat", "getdents64", "getcwd"),
)

_FORKING = (
    *("tgkill", "kill", "wait4", "setsid", "dup2", "dup3"),
    *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
)
_STARTING = ("preadv", "capget", "capset", "memfd_create", "memfd_secret", "ftruncate", "mlock2")


def _plain(names: tuple[str, ...]) -> list[Call]:
    return [Call(name) for name in names]


def _memory() -> list[Call]:
    """Private memory counts against the limit; shared memory of no file, and stacks that grow, would not."""
    neither = _MAP_GROWSDOWN | _MAP_LOCKED
    private = Call("mmap", (Test(3, 0, _MAP_SHARED | neither),))
    of_a_file = Call("mmap", (Test(3, 0, _MAP_ANONYMOUS | neither),))
    return [private, of_a_file]


def _threads() -> list[Call]:
    return [
        *(Call("clone", (Test(0, flags),)) for flags in (_THREAD, _THREAD_OF_MUSL)),
        Call("tgkill", (Test(0, os.getpid()),)),
        Call("sched_setaffinity", (Test(0, 0),)),
    ]


def _own_state() -> list[Call]:
    """Asking for limits, naming threads and memory, duplicating a descriptor."""
    asked = (Test(0, 0), Test(2, 0), Test(2, 0, upper=True))
    controls = (_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC, _F_GET_SEALS)
    return [
        Call("prlimit64", asked),
        *(Call("prctl", (Test(0, option),)) for option in (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)),
        *(Call("arch_prctl", (Test(0, option),)) for option in _MATRIX_UNITS),
        *(Call("fcntl", (Test(1, control),)) for control in controls),
    ]


def _reading() -> list[Call]:
    return [
        Call("open", (Test(1, 0, _NOT_READING),)),
        Call("openat", (Test(2, 0, _NOT_READING),)),
        *(Call("ioctl", (Test(1, request),)) for request in (_TCGETS, _FIOCLEX)),
    ]


def _next_filter() -> Call:
    return Call("seccomp", (Test(0, _SET_FILTER), Test(1, _ALL_THREADS)))
