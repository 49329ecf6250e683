"""The control channel: short messages, in order, between a session and its process.

A message is a list of JSON values; the session's may carry a descriptor, the process's never. Neither
side trusts the other: lengths are bounded, one deadline covers all packets of a message, and what does
not parse ends the channel.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from modelkeep.errors import MalformedError

# The session's messages list the digests of a large file.
LARGEST_MESSAGE = 16 * 2**20
LARGEST_ANSWER = 2**20
_LENGTH = struct.Struct("=Q")
# One packet must fit the default send buffer of the kernel.
_PACKET = 64 * 2**10
# Made once: json.dumps would make a new one for each message.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_DESCRIPTOR = array.array("i").itemsize


class ChannelClosedError(Exception):
    """The other side is gone."""


class _ClosedAsOurs:
    """Turns failures of the socket into ours; a class, because every run passes here several times."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            raise ChannelClosedError from error


_closed_as_ours = _ClosedAsOurs()


class Channel:
    """One end of a connected pair; `send` and `receive` are for one thread at a time each."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._deadline: float | None = None
        end.settimeout(None)

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Returns both ends of a new channel."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(first), cls(second)

    @classmethod
    def inherited(cls, descriptor: int) -> Channel:
        """Returns the end that this process was started with."""
        # The kind is said, because this process may not be able to ask for it any more.
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, descriptor))

    @property
    def descriptor(self) -> int:
        """The descriptor of this end."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes this end; again does nothing."""
        self._socket.close()

    def allow(self, seconds: float | None) -> None:
        """Gives everything from now on this long in all, then raises TimeoutError; None waits for ever."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def send(self, message: Sequence[object], *descriptors: int) -> None:
        """Sends a message and copies of descriptors.

        Raises:
            ChannelClosedError: the other side is gone.
            TimeoutError: it does not take the message in time.
        """
        data = _encode(message).encode()
        ancillary = []
        if descriptors:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with self._in_time():
            self._socket.sendmsg([_LENGTH.pack(len(data)), data[:_PACKET]], ancillary)
        for start in range(_PACKET, len(data), _PACKET):
            with self._in_time():
                self._socket.send(data[start : start + _PACKET])

    def receive(self, longest: int = LARGEST_ANSWER) -> list[Any]:
        """Returns the next message.

        Raises:
            ChannelClosedError: the other side is gone.
            MalformedError: not a message, longer than `longest` bytes, or one with descriptors, which
                the kernel has then closed.
            TimeoutError: none came in time.
        """
        return self._received(longest, 0)[0]

    def receive_with_descriptor(self) -> tuple[list[Any], int | None]:
        """Returns the next message of the session and the descriptor that came with it.

        The caller closes the descriptor.

        Raises:
            ChannelClosedError, MalformedError: see `receive`.
        """
        message, descriptors = self._received(LARGEST_MESSAGE, 1)
        return message, next(iter(descriptors), None)

    def receive_with_descriptors(self, most: int) -> tuple[list[Any], list[int]]:
        """Returns the next message of the session and the descriptors, `most` at most, that came with it.

        The caller closes them.

        Raises:
            ChannelClosedError, MalformedError: see `receive`.
        """
        return self._received(LARGEST_MESSAGE, most)

    def send_secret(self, secret: memoryview) -> None:
        """Sends bytes without making a copy of them in this process.

        Raises:
            ChannelClosedError: the other side is gone.
            TimeoutError: it does not take them in time.
        """
        with self._in_time():
            self._socket.send(secret)

    def receive_secret(self, destination: memoryview) -> None:
        """Receives what `send_secret` sent straight into `destination`, which has its length.

        Raises:
            ChannelClosedError: the other side is gone.
            MalformedError: it is shorter.
        """
        with self._in_time():
            count = self._socket.recv_into(destination)
        if count != len(destination):
            raise MalformedError("isolated process: a key of another length came")

    def _received(self, longest: int, most: int) -> tuple[list[Any], list[int]]:
        # Exactly as much room as is wanted: the kernel closes further descriptors itself, and says so.
        room = socket.CMSG_LEN(most * _DESCRIPTOR) if most else 0
        packet, descriptors = self._packet(_LENGTH.size + _PACKET, room)
        try:
            return self._message(packet, longest), descriptors
        except BaseException:
            _close_all(descriptors)
            raise

    def _packet(self, size: int, room: int = 0) -> tuple[bytes, list[int]]:
        """Returns the next packet, and what descriptors came with it."""
        with self._in_time():
            packet, ancillary, flags, _address = self._socket.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
        descriptors = _descriptors(ancillary)
        # What was cut off is lost: who waits for it waits until the time is over.
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            _close_all(descriptors)
            if flags & socket.MSG_CTRUNC:
                raise MalformedError("isolated process: descriptors that nobody asked for")
            raise MalformedError("isolated process: the packet is too long")
        return packet, descriptors

    def _message(self, packet: bytes, longest: int) -> list[Any]:
        if not packet:
            raise ChannelClosedError
        if len(packet) < _LENGTH.size:
            raise MalformedError("isolated process: not a message")
        (length,) = _LENGTH.unpack_from(packet)
        if length > longest:
            raise MalformedError("isolated process: the message is too long")
        data = bytearray(memoryview(packet)[_LENGTH.size :])
        while len(data) < length:
            more, _none = self._packet(_PACKET)
            if not more:
                raise ChannelClosedError
            data += more
        return _parsed(bytes(data), length)

    def _in_time(self) -> _ClosedAsOurs:
        """Gives the next packet what is left of the time."""
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            with _closed_as_ours:
                self._socket.settimeout(left)
        elif self._socket.gettimeout() is not None:
            with _closed_as_ours:
                self._socket.settimeout(None)
        return _closed_as_ours


def _parsed(data: bytes, length: int) -> list[Any]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if len(data) != length or not isinstance(message, list) or not message:
        raise MalformedError("isolated process: not a message")
    return message


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return array.array("i", data[: len(data) - len(data) % _DESCRIPTOR]).tolist()
    return []


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        close_quietly(descriptor)


def close_quietly(descriptor: int) -> None:
    """Closes a descriptor that may be closed already."""
    with suppress(OSError):
        os.close(descriptor)
