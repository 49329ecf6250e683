"""What a device found out about the repository that it follows, beside its slots, for `status`.

Nothing secret and nothing authentic. Written only where something has changed.
Source: spec/update-v1.md, "What a device remembers".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from modelkeep import canonical
from modelkeep.errors import KeepError
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

FORMAT = "modelkeep/following"
VERSION = 1
_NAME = "following.json"
_LARGEST = 2**16
_LONGEST_REASON = 2000
_BUNDLE_BYTES = 16


class Outcome(Enum):
    """What an update came to.

    `CURRENT`: what counts here is what the repository offers this device, or newer. `WAITING`: a newer
    release is offered, and not to this device yet. `FAILED_BEFORE`: what is offered failed its trial here.
    `UPDATED`: what was installed counts now. `NOT_TRIED`: it waits for its trial. `RETURNED`: it failed its
    trial, and what counted goes on. `UNAVAILABLE`: the repository, the disk or the key could not be
    reached. `REFUSED`: what came was refused.
    """

    CURRENT = "current"
    WAITING = "waiting"
    FAILED_BEFORE = "failed before"
    UPDATED = "updated"
    NOT_TRIED = "not tried"
    RETURNED = "returned"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FollowingNotes:
    """The last word on a repository.

    Attributes:
        outcome: what the last update came to.
        reason: why, for people.
        at: since when it comes to that, in seconds since 1970-01-01 UTC by the device's clock.
        ends: when what the repository said last ends; None where it has said nothing yet.
        offered: the bundle that was this device's to take, or None.
    """

    outcome: Outcome
    reason: str
    at: int
    ends: int | None = None
    offered: bytes | None = None

    def stale_since(self, now: int) -> int | None:
        """Returns when what the repository says has ended, or None where it is in force."""
        return self.ends if self.ends is not None and self.ends <= now else None

    def after(self, before: FollowingNotes | None) -> FollowingNotes:
        """Returns these notes, dated back where they say what the ones before said."""
        is_same = before is not None and self._said == before._said
        return replace(self, at=before.at) if is_same and before is not None else self

    @property
    def _said(self) -> tuple[object, ...]:
        return self.outcome, self.reason, self.offered

    @staticmethod
    def read(folder: Path) -> FollowingNotes | None:
        """Returns the notes in a folder of slots; None where there are none that can be read."""
        with suppress(KeepError):
            return _parsed(read_small(folder / _NAME, _LARGEST, "notes of a repository"))
        return None

    def write(self, folder: Path) -> None:
        """Writes the notes into a folder of slots, unless they are there.

        Raises:
            StorageError: they cannot be written.
        """
        before = FollowingNotes.read(folder)
        now = self.after(before)
        if now != before:
            write_file(folder / _NAME, now.to_bytes(), force=True, mode=0o600)

    def to_bytes(self) -> bytes:
        """Returns the canonical JSON encoding."""
        return canonical.encode(self.to_json() | {"format": FORMAT, "version": VERSION})

    def to_json(self) -> dict[str, Any]:
        """Returns what they say, as JSON knows it."""
        return {
            "at": self.at,
            "ends": self.ends,
            "offered": None if self.offered is None else self.offered.hex(),
            "outcome": self.outcome.value,
            "reason": self.reason[:_LONGEST_REASON],
        }


def _parsed(data: bytes) -> FollowingNotes:
    with Record(canonical.decode(data, "notes"), "notes of a repository") as record:
        record.check_format(FORMAT, VERSION)
        return FollowingNotes(
            outcome=record.choice("outcome", _OUTCOMES),
            reason=record.text("reason", longest=_LONGEST_REASON),
            at=record.integer("at"),
            ends=record.nullable("ends", record.integer),
            offered=record.nullable("offered", lambda name: record.hexadecimal(name, _BUNDLE_BYTES)),
        )


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
