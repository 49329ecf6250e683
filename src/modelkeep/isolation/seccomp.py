"""A seccomp filter: the calls on a list pass, the kernel refuses all others.

A call that is not on the list does not exist (ENOSYS), so that libraries fall back to an older one; a
listed call with other arguments is not permitted (EPERM).
Source: Linux, Documentation/userspace-api/seccomp_filter.rst and uapi/linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelkeep.isolation.system_calls import NUMBERS, OPENING, Call, Test


@dataclass(frozen=True, slots=True)
class _Architecture:
    column: int
    audit: int
    filter_call: int


_ARCHITECTURES = {
    "x86_64": _Architecture(0, 0xC000003E, 317),
    "aarch64": _Architecture(1, 0xC00000B7, 277),
}
_X32 = 0x40000000

# Load a word, keep some of its bits, jump if equal, or greater or equal; return.
_LOAD, _KEEP, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _AUDIT, _ARGUMENTS = 0, 4, 16
_SET_MODE_FILTER, _TSYNC = 1, 1
_EVERY_BIT = 0xFFFFFFFF


def install(calls: Iterable[Call]) -> None:
    """Leaves all threads of this process with the calls on the list, of those that they still had.

    Raises:
        OSError: this kernel or architecture has no such filters, or a thread has filters of its own.
    """
    architecture = _architecture()
    program = ctypes.create_string_buffer(compiled(calls, architecture.column, architecture.audit))
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


def compiled(calls: Iterable[Call], column: int, audit: int) -> bytes:
    """Returns the filter for the architecture whose numbers are in `column` and whose own is `audit`."""
    parts = [
        _instruction(_LOAD, value=_AUDIT),
        _instruction(_EQUAL, value=audit, if_true=1),
        _instruction(_RETURN, value=_KILL),
        _instruction(_LOAD, value=_NUMBER),
    ]
    if column == 0:
        # The same kernel answers to a second set of numbers there.
        parts += [_instruction(_AT_LEAST, value=_X32, if_false=1), _refusal(errno.ENOSYS)]
    allowed = _by_name(calls)
    for name, alternatives in allowed.items():
        parts += _decision(NUMBERS[name][column], _block(alternatives))
    for name in OPENING:
        if name not in allowed:
            parts += _decision(NUMBERS[name][column], [_refusal(errno.EACCES)])
    return b"".join([*parts, _refusal(errno.ENOSYS)])


def _by_name(calls: Iterable[Call]) -> Mapping[str, list[tuple[Test, ...]]]:
    found: dict[str, list[tuple[Test, ...]]] = {}
    for call in calls:
        found.setdefault(call.name, []).append(call.tests)
    return found


def _decision(number: int | None, block: list[bytes]) -> list[bytes]:
    if number is None:
        return []
    return [_instruction(_EQUAL, value=number, if_false=len(block)), *block]


def _block(alternatives: Sequence[tuple[Test, ...]]) -> list[bytes]:
    """Returns instructions that allow the call if one of the alternatives holds, and refuse it otherwise."""
    parts = [part for tests in alternatives for part in _alternative(tests)]
    return parts if () in alternatives else [*parts, _refusal(errno.EPERM)]


def _alternative(tests: tuple[Test, ...]) -> list[bytes]:
    rest = [_instruction(_RETURN, value=_ALLOW)]
    for test in reversed(tests):
        # Each test that fails jumps behind what follows it: to the next alternative.
        rest = [*_looked_at(test), _instruction(_EQUAL, value=test.value, if_false=len(rest)), *rest]
    return rest


def _looked_at(test: Test) -> list[bytes]:
    place = _ARGUMENTS + 8 * test.argument + (4 if test.upper else 0)
    load = _instruction(_LOAD, value=place)
    return [load] if test.mask == _EVERY_BIT else [load, _instruction(_KEEP, value=test.mask)]


def _refusal(error: int) -> bytes:
    return _instruction(_RETURN, value=_ERROR | error)


def _instruction(code: int, *, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
