"""The repository that a device follows, and where it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from modelkeep.channels.channel import Channel
from modelkeep.channels.directory import DirectoryChannel
from modelkeep.errors import UsageError
from modelkeep.updates.source import is_address

OFFLINE_AGE = 90 * 86_400

_FILE = "file:"
_LOCAL = ("", "localhost")


@dataclass(frozen=True, slots=True)
class Following:
    """A repository that a device follows.

    Attributes:
        channel: where it is.
        first_root: the TUF root that the device was given, as bytes.
        folder: what was verified before; it proves nothing and saves requests.
        is_copy: whether timestamp and snapshot may have ended, as on a stick that is carried to a device.
        offline_age: for how many seconds after the snapshot's end a copy counts.
    """

    channel: Channel
    first_root: bytes
    folder: Path
    is_copy: bool = False
    offline_age: int = OFFLINE_AGE


def channel_of(place: Channel | str | os.PathLike[str]) -> Channel:
    """Returns the channel that an argument means: an address, a folder, ``file:`` and a folder, or itself.

    Raises:
        UsageError: it means none.
        UnavailableError: the extra for addresses is not installed.
    """
    if isinstance(place, str) and place.startswith(_FILE):
        return DirectoryChannel(_folder_of(place))
    if isinstance(place, str) and is_address(place):
        from modelkeep.channels.http import HttpChannel

        return HttpChannel(place)
    if isinstance(place, str | os.PathLike):
        return DirectoryChannel(place)
    return place


def is_folder(channel: Channel) -> bool:
    """Returns whether a channel is a folder of this machine, so that it may be a copy."""
    return isinstance(channel, DirectoryChannel)


def _folder_of(address: str) -> str:
    parts = urlsplit(address)
    if parts.netloc not in _LOCAL:
        raise UsageError(f"not a folder of this machine: {address}", hint="write file:/mnt/stick/repository")
    return unquote(parts.path)
