"""What the tries of a release came to on this device, beside its slots.

Nothing secret and nothing authentic: who edits it makes a device try once more, or give a release up,
which whoever writes the disk can do anyway. Source: spec/update-v1.md, "Trials".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from modelkeep import canonical
from modelkeep.errors import KeepError, RefusedError, StorageError, UnavailableError
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

MOST_CRASHES = 3
MOST_INTERRUPTIONS = 10
MOST_DAMAGES = 2
FORMAT = "modelkeep/trial"
VERSION = 1
_LARGEST = 65_536
_LONGEST_REASON = 2000
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class TrialEnd(Enum):
    """What a try came to.

    `PASSED`: it may count. `REFUSED`: a check of the trial said no. `CRASHED`: the process ended.
    `INTERRUPTED`: the device did. `DAMAGED`: what is on the disk does not decrypt, or cannot be read.
    `WITHDRAWN`: it is not to be tried any more. `POSTPONED`: something else than the release was in the
    way, for example a key that cannot be reached; it is tried again.
    """

    PASSED = "passed"
    REFUSED = "refused"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    DAMAGED = "damaged"
    WITHDRAWN = "withdrawn"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Notes:
    """The tries of one release.

    Attributes:
        bundle: its bundle's id, 16 bytes.
        boot: the start of the device during which a try runs; None while none does.
        crashed: how many crashed, one after the other.
        interrupted: how many were interrupted.
        damaged: how often what lay here was damaged.
        waits: the start of the device during which it is not tried again, or None.
        end: what the last try that ended came to, or None.
        reason: why, for people.
        at: when, in seconds since 1970-01-01 UTC by the device's clock.
    """

    bundle: bytes
    boot: str | None = None
    crashed: int = 0
    interrupted: int = 0
    damaged: int = 0
    waits: str | None = None
    end: TrialEnd | None = None
    reason: str = ""
    at: int = 0

    def counted(self, end: TrialEnd) -> Notes:
        """Returns them after a try that came to this; crashes count one after the other."""
        if end is TrialEnd.POSTPONED:
            return self
        damaged = self.damaged + (end is TrialEnd.DAMAGED)
        return Notes(self.bundle, crashed=self.crashed + 1 if end is TrialEnd.CRASHED else 0, damaged=damaged)

    def cut_off(self, boot: str) -> Notes:
        """Returns them after a try that has no end: the device was started anew meanwhile, or was not."""
        if self.boot is None:
            return self
        if self.boot == boot:
            return replace(
                self, boot=None, crashed=self.crashed + 1, end=TrialEnd.CRASHED, reason="the process ended"
            )
        interrupted = self.interrupted + 1
        waits = boot if interrupted >= MOST_INTERRUPTIONS else None
        return replace(
            self,
            boot=None,
            interrupted=interrupted,
            waits=waits,
            end=TrialEnd.INTERRUPTED,
            reason="the device was started anew",
        )


class TrialNotes:
    """The notes in a folder of slots."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trial.json"

    def read(self) -> Notes | None:
        """Returns what is noted, or None where nothing is, or nothing that can be read."""
        try:
            return parse(read_small(self.path, _LARGEST, "notes of trials"))
        except KeepError:
            return None

    def begin(self, bundle: bytes) -> None:
        """Notes that a try begins.

        Raises:
            RefusedError: the release crashed too often.
            UnavailableError: it was interrupted too often; it waits for the next start of the device.
            StorageError: it cannot be noted.
        """
        boot = boot_id()
        notes = self._of(bundle).cut_off(boot)
        if notes.crashed >= MOST_CRASHES:
            self._write(notes)
            raise RefusedError(f"the release crashed {notes.crashed} times in a row; it is in quarantine")
        if notes.waits == boot:
            self._write(notes)
            raise UnavailableError(
                f"the device was started anew in {notes.interrupted} trials of this release",
                hint="it is tried again after the next start; see to the power, or to what restarts it",
            )
        self._write(replace(notes, boot=boot, waits=None))

    def end(self, bundle: bytes, end: TrialEnd, reason: str) -> None:
        """Notes what a try came to.

        Raises:
            StorageError: it cannot be noted.
        """
        notes = self._of(bundle).counted(end)
        self._write(replace(notes, boot=None, end=end, reason=reason[:_LONGEST_REASON], at=int(time.time())))

    def check_disk(self, bundle: bytes) -> None:
        """Refuses what was damaged here twice: it is the disk.

        Raises:
            StorageError: it was.
        """
        if self._of(bundle).damaged >= MOST_DAMAGES:
            raise StorageError(
                f"{self.path.parent}: this release was damaged here {MOST_DAMAGES} times",
                hint=f"see to the disk; then remove {self.path}",
            )

    def _of(self, bundle: bytes) -> Notes:
        notes = self.read()
        return notes if notes is not None and notes.bundle == bundle else Notes(bundle)

    def _write(self, notes: Notes) -> None:
        write_file(self.path, encode(notes), force=True, mode=0o600)


def boot_id() -> str:
    """Returns what tells this start of the device from others; the same for ever where nothing does."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def encode(notes: Notes) -> bytes:
    """Returns the canonical JSON encoding."""
    members: dict[str, Any] = {
        "at": notes.at,
        "boot": notes.boot,
        "bundle": notes.bundle.hex(),
        "crashed": notes.crashed,
        "damaged": notes.damaged,
        "end": None if notes.end is None else notes.end.value,
        "format": FORMAT,
        "interrupted": notes.interrupted,
        "reason": notes.reason,
        "version": VERSION,
        "waits": notes.waits,
    }
    return canonical.encode(members)


def parse(data: bytes) -> Notes:
    """Reads notes.

    Raises:
        MalformedError: these are none.
        UnsupportedVersionError: written by a newer modelkeep.
    """
    with Record(canonical.decode(data, "trial notes"), "trial notes") as record:
        record.check_format(FORMAT, VERSION)
        return Notes(
            bundle=record.hexadecimal("bundle", 16),
            boot=record.nullable("boot", record.text),
            crashed=record.integer("crashed"),
            interrupted=record.integer("interrupted"),
            damaged=record.integer("damaged"),
            waits=record.nullable("waits", record.text),
            end=record.nullable("end", lambda name: record.choice(name, _ENDS)),
            reason=record.text("reason", longest=_LONGEST_REASON),
            at=record.integer("at"),
        )


_ENDS = {end.value: end for end in TrialEnd}
