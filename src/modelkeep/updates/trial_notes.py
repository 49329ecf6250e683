"""What the tries of a release came to: plain values, and what becomes of them.

Source: spec/update-v1.md, "Trials".
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from modelkeep import canonical
from modelkeep._version import __version__
from modelkeep.device.contents import DAY
from modelkeep.record import Record

MOST_CRASHES = 3
MOST_INTERRUPTIONS = 10
MOST_DAMAGES = 2
MOST_POSTPONEMENTS = 5
FORMAT = "modelkeep/trial"
VERSION = 1
_LONGEST_REASON = 2000
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class TrialEnd(Enum):
    """What a try came to.

    `PASSED`: it may count. `REFUSED`: a check of the trial said no. `CRASHED`: the process ended.
    `INTERRUPTED`: the device did. `DAMAGED`: what is on the disk does not decrypt, or cannot be read.
    `WITHDRAWN`: it is not to be tried any more. `POSTPONED`: something else than the release was in the
    way, for example a key that cannot be reached; it is tried again, five times in a row.
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
        postponed: how many were postponed, one after the other.
        waits: the start of the device during which it is not tried again, or None.
        tried: the circumstances of the last try, 32 bytes, or None.
        end: what the last try that ended came to, or None.
        reason: why, for people.
        at: when, in seconds since 1970-01-01 UTC by the device's clock.
    """

    bundle: bytes
    boot: str | None = None
    crashed: int = 0
    interrupted: int = 0
    damaged: int = 0
    postponed: int = 0
    waits: str | None = None
    tried: bytes | None = None
    end: TrialEnd | None = None
    reason: str = ""
    at: int = 0

    @property
    def is_put_off(self) -> bool:
        """Whether it was postponed so often that it is tried again only when something has changed."""
        return self.postponed >= MOST_POSTPONEMENTS

    def ended(self, end: TrialEnd, reason: str) -> Notes:
        """Returns them after a try that came to this."""
        shortened = reason[:_LONGEST_REASON]
        return replace(self._counted(end), boot=None, end=end, reason=shortened, at=int(time.time()))

    def _counted(self, end: TrialEnd) -> Notes:
        if end is TrialEnd.POSTPONED:
            return replace(self, postponed=self.postponed + 1)
        if end is TrialEnd.CRASHED:
            return replace(self, crashed=self.crashed + 1)
        return Notes(self.bundle, damaged=self.damaged + (end is TrialEnd.DAMAGED))

    def forgiven(self) -> Notes:
        """Returns them for somebody who wants it tried again; what crashed did so all the same."""
        return Notes(self.bundle, crashed=self.crashed, end=self.end, reason=self.reason, at=self.at)

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


def circumstances(*others: str) -> bytes:
    """Returns 32 bytes that tell what a try was made under from what another one is.

    They are others after a start of the device, on another day by its clock, and with another modelkeep.
    A day, because nobody may ever come to a device that cannot tell what has changed.

    Args:
        others: what else may change.
    """
    words = (boot_id(), str(int(time.time()) // DAY), __version__, *others)
    return hashlib.sha256(canonical.encode({"under": list(words)})).digest()


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
        "postponed": notes.postponed,
        "reason": notes.reason,
        "tried": None if notes.tried is None else notes.tried.hex(),
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
            postponed=record.integer("postponed"),
            tried=record.nullable("tried", lambda name: record.hexadecimal(name, 32)),
            waits=record.nullable("waits", record.text),
            end=record.nullable("end", lambda name: record.choice(name, _ENDS)),
            reason=record.text("reason", longest=_LONGEST_REASON),
            at=record.integer("at"),
        )


_ENDS = {end.value: end for end in TrialEnd}
