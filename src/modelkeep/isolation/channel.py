"""The control channel: short messages, in order, between a session and its process.

A message is a list of JSON values and may carry descriptors. Neither side trusts the other: lengths
are bounded, and what does not parse ends the channel.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from modelkeep.errors import MalformedError

LARGEST_MESSAGE = 16 * 2**20
_LENGTH = struct.Struct("=Q")
# One packet must fit the default send buffer of the kernel.
_PACKET = 64 * 2**10
_MOST_DESCRIPTORS = 1
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

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Returns both ends of a new channel."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(first), cls(second)

    @classmethod
    def inherited(cls, descriptor: int) -> Channel:
        """Returns the end that this process was started with."""
        return cls(socket.socket(fileno=descriptor))

    @property
    def descriptor(self) -> int:
        """The descriptor of this end."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes this end; again does nothing."""
        self._socket.close()

    def wait_at_most(self, seconds: float | None) -> None:
        """Makes later calls raise TimeoutError when one packet takes longer than this.

        Raises:
            ChannelClosedError: this end was closed.
        """
        with _closed_as_ours:
            self._socket.settimeout(seconds)

    def send(self, message: Sequence[object], descriptor: int | None = None) -> None:
        """Sends a message and a copy of a descriptor.

        Raises:
            ChannelClosedError: the other side is gone.
        """
        data = _encode(message).encode()
        ancillary = []
        if descriptor is not None:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        with _closed_as_ours:
            self._socket.sendmsg([_LENGTH.pack(len(data)), data[:_PACKET]], ancillary)
            for start in range(_PACKET, len(data), _PACKET):
                self._socket.send(data[start : start + _PACKET])

    def receive(self) -> tuple[list[Any], int | None]:
        """Returns the next message and the descriptor that came with it, which the caller closes.

        Raises:
            ChannelClosedError: the other side is gone.
            MalformedError: not a message.
            TimeoutError: none came in time.
        """
        with _closed_as_ours:
            packet, ancillary, _flags, _address = self._socket.recvmsg(
                _LENGTH.size + _PACKET,
                socket.CMSG_SPACE(_MOST_DESCRIPTORS * _DESCRIPTOR),
                socket.MSG_CMSG_CLOEXEC,
            )
        descriptor = _descriptor(ancillary)
        try:
            return self._message(packet), descriptor
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise

    def send_secret(self, secret: memoryview) -> None:
        """Sends bytes without making a copy of them in this process.

        Raises:
            ChannelClosedError: the other side is gone.
        """
        with _closed_as_ours:
            self._socket.send(secret)

    def receive_secret(self, destination: memoryview) -> None:
        """Receives what `send_secret` sent straight into `destination`, which has its length.

        Raises:
            ChannelClosedError: the other side is gone.
            MalformedError: it is shorter.
        """
        with _closed_as_ours:
            count = self._socket.recv_into(destination)
        if count != len(destination):
            raise MalformedError("isolated process: a key of another length came")

    def _message(self, packet: bytes) -> list[Any]:
        if not packet:
            raise ChannelClosedError
        if len(packet) < _LENGTH.size:
            raise MalformedError("isolated process: not a message")
        (length,) = _LENGTH.unpack_from(packet)
        if length > LARGEST_MESSAGE:
            raise MalformedError("isolated process: the message is too long")
        data = bytearray(memoryview(packet)[_LENGTH.size :])
        while len(data) < length:
            with _closed_as_ours:
                more = self._socket.recv(_PACKET)
            if not more:
                raise ChannelClosedError
            data += more
        return _parsed(bytes(data), length)


def _parsed(data: bytes, length: int) -> list[Any]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if len(data) != length or not isinstance(message, list) or not message:
        raise MalformedError("isolated process: not a message")
    return message


def _descriptor(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(data) >= _DESCRIPTOR:
            return int(array.array("i", data[:_DESCRIPTOR])[0])
    return None


def close_quietly(descriptor: int | None) -> None:
    """Closes a descriptor that may be none."""
    if descriptor is not None:
        with suppress(OSError):
            os.close(descriptor)
