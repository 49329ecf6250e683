"""Landlock: a thread and those that it starts give up access to files and networks.

Source: Linux, Documentation/userspace-api/landlock.rst and uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import Any

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# All rights over files that each version of the interface knows: the lowest N bits.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP = 0b11
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11
_TCP_SINCE, _SCOPES_SINCE = 4, 6


def restrict(readable: Iterable[str]) -> tuple[str, ...]:
    """Leaves this thread reading below the given paths; returns in words what it can no longer do.

    Libraries are loaded by mapping them for execution, which counts as reading. Paths that do not
    exist are passed over.

    Raises:
        OSError: this kernel has no Landlock, or it is switched off.
    """
    version = _syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    files = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    network = _TCP if version >= _TCP_SINCE else 0
    scopes = _SIGNALS_AND_ABSTRACT_SOCKETS if version >= _SCOPES_SINCE else 0
    words = (files, network, scopes)[: 3 if scopes else 2 if network else 1]
    attributes = ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words), 8 * len(words))
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path)
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return (
        "landlock: no writing, no reading but of libraries",
        *(["landlock: no TCP"] if network else []),
        *(["landlock: no signals to others"] if scopes else []),
    )


def _allow(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rights = _READ_FILE | _READ_DIR if folder else _READ_FILE
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor), 12)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def _syscall(number: int, *arguments: Any) -> int:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
