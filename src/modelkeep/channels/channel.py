"""The one thing that a place for files has to be able to do: give bytes by name, and take them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from modelkeep.container.tape import Readable
from modelkeep.errors import UnavailableError, UsageError

LONGEST_NAME = 2048
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,254}){0,15}")


class AbsentError(UnavailableError):
    """There is nothing of that name; which somebody in between can say at any time."""


class ByteStream(Readable, Protocol):
    """A plain stream: any binary file is one."""

    def close(self) -> None:
        """Ends it."""


class Channel(Protocol):
    """A place for files, which need not be trusted with anything but to be there."""

    @property
    def name(self) -> str:
        """What people call it; nothing secret."""

    def open(self, name: str, offset: int = 0, *, largest: int) -> ByteStream:
        """Returns the bytes of a file from `offset` on; the caller closes them.

        Args:
            name: parts of letters, digits, '.', '_' and '-', with '/' between them.
            offset: where to begin.
            largest: a file of more bytes is refused before its first byte is given.

        Raises:
            AbsentError: there is no such file.
            UnavailableError: it cannot be reached or read, or is larger.
            UsageError: not a name.
        """

    def put(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Writes a file whole and durably, in the place of what has that name; or not at all.

        Args:
            name: as for `open`.
            pieces: its bytes one after the other. An error in them ends it, and nothing was written.

        Raises:
            UnavailableError: it cannot be written.
            UsageError: not a name, or nobody can write here.
        """


def check_name(name: str) -> str:
    """Returns `name` if it is one that a file of a channel can have: nothing in it leads elsewhere.

    Raises:
        UsageError: it is not.
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise UsageError(f"not a name of a file in a channel: {name!r:.200}")
    return name


def read_whole(channel: Channel, name: str, largest: int) -> bytes:
    """Returns the content of a small file.

    Raises:
        AbsentError: there is no such file.
        UnavailableError: it cannot be reached or read, or is larger than `largest` bytes.
    """
    stream = channel.open(name, largest=largest)
    try:
        data = bytearray()
        # Whatever was said of its length.
        while len(data) <= largest and (piece := stream.read(largest + 1 - len(data))):
            data += piece
    finally:
        stream.close()
    if len(data) > largest:
        raise too_large(channel, name, largest)
    return bytes(data)


def too_large(channel: Channel, name: str, largest: int) -> UnavailableError:
    """Returns the error for a file of more bytes than it may have."""
    return UnavailableError(f"{channel.name}: {name} has more than {largest} bytes")
