"""Seccomp: a process gives up system calls, in all its threads and for good.

The filter is a list of refusals, not of permissions: what a runtime calls differs with its version.
Source: Linux, Documentation/userspace-api/seccomp_filter.rst; uapi/linux/{seccomp,filter,audit}.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# name -> number, where it has one: x86-64, arm64 (which is the generic table).
_CALLS: Mapping[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "prctl": (157, 167),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "open": (2, None),
    "creat": (85, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "open_by_handle_at": (304, 265),
    "truncate": (76, 45),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rmdir": (84, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "quotactl": (179, 60),
}
_OPENING = ("open", "creat", "openat", "openat2", "open_by_handle_at")
_SIGNALS_TO_A_PROCESS = ("kill", "tgkill")
_OWN_RULES = {*_OPENING, *_SIGNALS_TO_A_PROCESS, "clone", "clone3", "prctl"}
_PR_SET_DUMPABLE = 4


@dataclass(frozen=True, slots=True)
class _Architecture:
    column: int
    audit: int
    filter_call: int


# Temporary files without a name need one of the first two as well.
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ARCHITECTURES = {
    "x86_64": _Architecture(0, 0xC000003E, 317),
    "aarch64": _Architecture(1, 0xC00000B7, 277),
}
_X32 = 0x40000000

# From uapi/linux/bpf_common.h: load a word, jump if equal, greater or equal, bits set; return.
_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _AUDIT, _ARGUMENTS = 0, 4, 16
_SET_MODE_FILTER, _TSYNC = 1, 1
_CLONE_THREAD = 0x00010000


@dataclass(frozen=True, slots=True)
class Rule:
    """One refusal.

    Attributes:
        call: name of the system call.
        error: what it fails with.
        argument: refuse only depending on this argument, or None for always.
        bits: refuse if any of these bits is set in the argument.
        unless_bits: refuse unless one of these bits is set.
        equal: refuse if the argument is this.
        unless_equal: refuse unless the argument is this.
    """

    call: str
    error: int = errno.EPERM
    argument: int | None = None
    bits: int = 0
    unless_bits: int = 0
    equal: int | None = None
    unless_equal: int | None = None


def early_rules() -> list[Rule]:
    """Returns what is given up before the runtime is imported: other processes, networks, the system."""
    pid = os.getpid()
    return [
        *(Rule(call) for call in _CALLS if call not in _OWN_RULES),
        Rule("clone", argument=0, unless_bits=_CLONE_THREAD),
        # Its arguments are in memory, where a filter cannot look; the C library then takes clone.
        Rule("clone3", errno.ENOSYS),
        Rule("prctl", argument=0, equal=_PR_SET_DUMPABLE),
        *(Rule(call, argument=0, unless_equal=pid) for call in _SIGNALS_TO_A_PROCESS),
    ]


def writing_rules() -> list[Rule]:
    """Returns what takes the place of Landlock where there is none: opening files for writing."""
    return [
        Rule("openat2", errno.ENOSYS),
        Rule("open_by_handle_at"),
        Rule("creat", errno.EACCES),
        Rule("open", errno.EACCES, argument=1, bits=_WRITING),
        Rule("openat", errno.EACCES, argument=2, bits=_WRITING),
    ]


def late_rules() -> list[Rule]:
    """Returns what is given up when the model is loaded: opening files at all."""
    return [Rule(call, errno.EACCES) for call in _OPENING]


def install(rules: Sequence[Rule]) -> None:
    """Puts the rules into force for all threads of this process.

    Raises:
        OSError: this kernel or architecture has no such filters, or a thread has filters of its own.
    """
    architecture = _architecture()
    program = ctypes.create_string_buffer(_program(rules, architecture))
    count = (len(program) - 1) // 8
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", count, ctypes.addressof(program)))
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(architecture.filter_call, _SET_MODE_FILTER, _TSYNC, header)
    if result > 0:
        raise OSError(errno.EBUSY, f"thread {result} cannot take the filter")
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _architecture() -> _Architecture:
    found = _ARCHITECTURES.get(platform.machine())
    if found is None or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"no filter for {platform.machine()}")
    return found


def _program(rules: Sequence[Rule], architecture: _Architecture) -> bytes:
    parts = [
        _instruction(_LOAD, value=_AUDIT),
        _instruction(_EQUAL, value=architecture.audit, if_true=1),
        _instruction(_RETURN, value=_KILL),
        _instruction(_LOAD, value=_NUMBER),
    ]
    if architecture.column == 0:
        # The same kernel answers to a second set of numbers there.
        parts += [
            _instruction(_AT_LEAST, value=_X32, if_false=1),
            _instruction(_RETURN, value=_ERROR | errno.ENOSYS),
        ]
    for rule in rules:
        number = _CALLS[rule.call][architecture.column]
        if number is not None:
            parts += _refusal(rule, number)
    return b"".join([*parts, _instruction(_RETURN, value=_ALLOW)])


def _refusal(rule: Rule, number: int) -> list[bytes]:
    refuse = _instruction(_RETURN, value=_ERROR | rule.error)
    body = [refuse] if rule.argument is None else [*_condition(rule, rule.argument), refuse]
    if rule.argument is not None:
        body.append(_instruction(_LOAD, value=_NUMBER))
    return [_instruction(_EQUAL, value=number, if_false=len(body)), *body]


def _condition(rule: Rule, argument: int) -> list[bytes]:
    """Returns instructions that go on to the refusal or jump over it.

    They look at the lower half of the argument, which is all that the calls in question use.
    """
    load = _instruction(_LOAD, value=_ARGUMENTS + 8 * argument)
    if rule.bits:
        return [load, _instruction(_BITS, value=rule.bits, if_false=1)]
    if rule.unless_bits:
        return [load, _instruction(_BITS, value=rule.unless_bits, if_true=1)]
    if rule.equal is not None:
        return [load, _instruction(_EQUAL, value=rule.equal, if_false=1)]
    return [load, _instruction(_EQUAL, value=rule.unless_equal or 0, if_true=1)]


def _instruction(code: int, *, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
