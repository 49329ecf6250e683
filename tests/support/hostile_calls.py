"""System calls that an intruder makes from within the process of a model; copied there with the intruder."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def _syscall(number: int, *arguments: int) -> int:
    """Returns the error number, or 0."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    ctypes.set_errno(0)
    return ctypes.get_errno() if libc.syscall(*map(ctypes.c_long, (number, *arguments))) < 0 else 0


def sweep(argument: str) -> str:
    """Makes all calls with numbers below the first of a list of numbers, except those that follow it."""
    until, *listed = json.loads(argument)
    reached = [number for number in range(until) if number not in listed and _exists(number, 0)]
    other = [number for number in range(until) if number not in listed and _exists(number | 0x40000000, 0)]
    return json.dumps([reached, other])


def reach(argument: str) -> str:
    """Makes the calls with these numbers and useless arguments; returns those that do not exist."""
    return json.dumps([number for number in json.loads(argument) if not _exists(number, -1)])


def _exists(number: int, argument: int) -> bool:
    return _syscall(number, *[argument] * 6) not in {errno.ENOSYS, errno.EACCES}


def make(argument: str) -> str:
    """Makes calls, each a number and arguments; returns their error numbers, 0 for none."""
    return json.dumps([_syscall(*call) for call in json.loads(argument)])


def environment(_argument: str) -> str:
    """Returns what the environment holds."""
    return json.dumps(dict(os.environ))


def say(text: str) -> int:
    """Writes to the standard error."""
    return os.write(2, json.loads(text).encode())


def terminals(_argument: str) -> str:
    """Returns which of the standard descriptors are terminals."""
    return json.dumps([each for each in range(3) if os.isatty(each)])


def keep_open(path: str) -> int:
    """Leaves a file and a folder open."""
    kept = [os.open(path, os.O_RDONLY), os.open(str(Path(path).parent), os.O_RDONLY)]
    return len(kept)


def descriptors(_argument: str) -> str:
    """Returns the descriptors that are open."""
    return json.dumps([number for number in range(200) if _syscall(_FCNTL, number, 1) == 0])


_FCNTL = 72 if os.uname().machine == "x86_64" else 25


# What the session takes at a time, after the length of the message.
_PACKET = 64 * 2**10
# The channel to the session, found as any intruder would. Made while the kernel still tells its kind.
_SESSION: list[socket.socket] = []


def find_session() -> None:
    """Remembers the channel: the one socket that there is."""
    (found,) = filter(_is_socket, (int(each.name) for each in Path("/proc/self/fd").iterdir()))
    _SESSION[:] = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=found)]


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def answer(argument: str) -> None:
    """Sends messages on the channel, before the adapter's own answer; each is JSON, or raw text."""
    for each in json.loads(argument):
        data = each.encode() if isinstance(each, str) else json.dumps(each).encode()
        send(struct.pack("=Q", len(data)) + data[:_PACKET])
        for start in range(_PACKET, len(data), _PACKET):
            send(data[start : start + _PACKET])


def swell(where: str) -> None:
    """Sends a message in which the first packet, or the one after it, is longer than any may be."""
    data = b"[" + b" " * (3 * _PACKET)
    packet = struct.pack("=Q", len(data))
    if where == "later":
        send(packet)
        packet = b""
    send(packet + data)


def send(packet: bytes, descriptors: Iterable[int] = ()) -> None:
    """Sends one packet with descriptors."""
    rights = b"".join(struct.pack("=i", each) for each in descriptors)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
    _SESSION[0].sendmsg([packet], ancillary)


def give(count: str) -> None:
    """Sends a proper answer with descriptors that nobody asked for."""
    data = b'["outputs",[],[]]'
    send(struct.pack("=Q", len(data)) + data, [0] * int(count))


def drip(seconds: str) -> None:
    """Announces a long message, and sends it byte by byte for so long."""
    import time

    send(struct.pack("=Q", 1000))
    for _ in range(int(float(seconds) * 5)):
        time.sleep(0.2)
        send(b"x")


def shared(_argument: str) -> str:
    """Returns the memory that others may have too, and that can be written."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return json.dumps([line for line in lines if line.split()[1][1::2] == "ws"])


def numbers(_argument: str) -> str:
    """Returns what should be different in every process."""
    import random

    import numpy as np

    return json.dumps([random.random(), np.random.random(), os.urandom(8).hex()])


_ALL = (sweep, reach, make, environment, say, terminals, keep_open, descriptors, answer, swell, give, drip)
ATTEMPTS = {each.__name__: each for each in (*_ALL, shared, numbers)}
