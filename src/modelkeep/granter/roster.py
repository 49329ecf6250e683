"""The roster: which devices operators vouch for, signed as a whole, read line by line.

The first line is the envelope that operators sign; its payload has the number of the lines that follow and
their digest. So a roster of a million devices is one file, and takes no more memory than one of ten.
Source: spec/granter-v1.md, "Roster".
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import ExpiredError, MalformedError, TamperedError, UsageError
from modelkeep.granter.roster_device import LONGEST_LINE, RosterDevice
from modelkeep.record import Record
from modelkeep.storage import named, opened, write_file
from modelkeep.trust.envelope import Envelope, Kind

FORMAT, VERSION = "modelkeep/roster", 1
LARGEST_ENVELOPE = 65_536
MOST_DEVICES = 10_000_000


@dataclass(frozen=True, slots=True)
class RosterHead:
    """What operators sign.

    Attributes:
        number: grows with every roster.
        expires: last second at which it counts, since 1970-01-01 UTC.
        devices: how many devices follow.
        digest: SHA-256 of their lines, 32 bytes.
    """

    number: int
    expires: int
    devices: int
    digest: bytes

    def to_bytes(self) -> bytes:
        """Returns the payload, canonical JSON."""
        return canonical.encode(
            {
                "format": FORMAT,
                "version": VERSION,
                "number": self.number,
                "expires": self.expires,
                "devices": self.devices,
                "digest": self.digest.hex(),
            }
        )

    @staticmethod
    def from_bytes(payload: bytes) -> RosterHead:
        """Reads a payload.

        Raises:
            MalformedError: not of this form.
            UnsupportedVersionError: of a newer version.
        """
        with Record(canonical.decode(payload, "roster"), "roster") as record:
            record.check_format(FORMAT, VERSION)
            head = RosterHead(
                number=record.integer("number", lowest=1),
                expires=record.integer("expires", highest=LATEST_TIME),
                devices=record.integer("devices", highest=MOST_DEVICES),
                digest=record.hexadecimal("digest", 32),
            )
        if head.to_bytes() != payload:
            raise MalformedError("roster: says more than this version can show")
        return head

    def check_time(self, now: int) -> None:
        """Checks that the roster still counts at `now` (seconds since 1970-01-01 UTC).

        Raises:
            ExpiredError: it does not.
        """
        if now > self.expires:
            raise ExpiredError("the roster has expired", hint="have operators sign the next one")


class RosterStream:
    """An open roster: its envelope, and its devices one after the other.

    Attributes:
        envelope: the first line; nothing in it is verified.
        head: what its payload says.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Reads the first line.

        Raises:
            MalformedError, SignatureError: not a roster.
        """
        line = file.readline(LARGEST_ENVELOPE + 1)
        if not line.endswith(b"\n"):
            raise MalformedError("roster: its first line has no end")
        self._file = file
        self.envelope = Envelope.from_bytes(line[:-1], Kind.ROSTER)
        self.head = RosterHead.from_bytes(self.envelope.payload)

    def devices(self) -> Iterator[RosterDevice]:
        """Yields the devices. Only when the last one has come is it certain that they are those of the head.

        Raises:
            TamperedError: they are not.
            MalformedError: a line is not a device.
        """
        digest, count, last = hashlib.sha256(), 0, ""
        while line := self._file.readline(LONGEST_LINE + 1):
            device = RosterDevice.from_line(line)
            if device.name <= last:
                raise MalformedError("roster: devices are in ascending order of names, each name once")
            digest.update(line)
            count, last = count + 1, device.name
            yield device
        if (count, digest.digest()) != (self.head.devices, self.head.digest):
            raise TamperedError("the roster's devices are not those that were signed")


@contextmanager
def open_roster(path: str | os.PathLike[str]) -> Iterator[RosterStream]:
    """Opens a roster for the length of a `with` block.

    Raises:
        StorageError: cannot be read.
        MalformedError, SignatureError: not a roster.
    """
    with opened(path) as file:
        with named(path):
            stream = RosterStream(file)
        yield stream


@dataclass(frozen=True, slots=True)
class Roster:
    """A whole roster in memory, for those who make the next one.

    Attributes:
        envelope: the head, and who signed it.
        devices: in ascending order of names.
    """

    envelope: Envelope
    devices: tuple[RosterDevice, ...]

    @property
    def head(self) -> RosterHead:
        """What operators sign."""
        return RosterHead.from_bytes(self.envelope.payload)

    @staticmethod
    def of(number: int, expires: int, devices: Iterable[RosterDevice]) -> Roster:
        """Returns a roster that nobody has signed.

        Raises:
            UsageError: two devices with one name, key or hardware.
        """
        ordered = tuple(sorted(devices, key=lambda device: device.name))
        _check_unique(ordered)
        digest = hashlib.sha256(b"".join(device.to_line() for device in ordered)).digest()
        head = RosterHead(number, expires, len(ordered), digest)
        return Roster(Envelope(Kind.ROSTER, head.to_bytes()), ordered)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Roster:
        """Reads a roster, whose signatures nobody has verified.

        Raises:
            StorageError: cannot be read.
            MalformedError, SignatureError, TamperedError: not a roster.
        """
        with named(path), open_roster(path) as stream:
            devices = tuple(stream.devices())
            _check_unique(devices)
            return Roster(stream.envelope, devices)

    def write(self, path: str | os.PathLike[str], *, force: bool) -> None:
        """Writes the file as a whole.

        Raises:
            StorageError: cannot be written.
            UsageError: it exists and `force` is not set.
        """
        lines = [self.envelope.to_bytes() + b"\n", *(device.to_line() for device in self.devices)]
        write_file(path, b"".join(lines), force=force)


def _check_unique(devices: tuple[RosterDevice, ...]) -> None:
    for what in ("name", "key", "hardware"):
        values = [value for device in devices if (value := getattr(device, what))]
        if len(set(values)) != len(values):
            twice = next(each for each in values if values.count(each) > 1)
            raise UsageError(
                f"two devices of the roster have one {what}: {twice[:80]}",
                hint="remove one first; a replaced device goes with --replace",
            )
