"""Constraints of a grant: when, in which posture of the device, and whether it may be passed on.

As JSON an object whose members are present only when they are set: ``not_before`` and
``not_after`` (seconds since 1970-01-01 UTC, both inclusive, at most 9999-12-31T23:59:59Z),
``posture`` (1 to 16 names, ascending, no name twice) and ``delegate`` (only ever true).
Constraints bind honest software only: who holds a device's key can ignore them.
Source: spec/grant-v1.md, "Constraints".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelkeep.clock import LATEST_TIME, Now
from modelkeep.errors import (
    ExpiredError,
    PostureError,
    RefusedError,
    UnsupportedVersionError,
    UsageError,
)
from modelkeep.record import Record

MOST_POSTURES = 16

_KNOWN = frozenset({"not_before", "not_after", "posture", "delegate", "ext"})
_POSTURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a grant demands of whoever opens it.

    Attributes:
        not_before: first second at which it counts, or None.
        not_after: last second at which it counts, or None.
        posture: names of what the device must be found to be; kept sorted, each once.
        delegate: may the holder grant the model to others?

    Raises:
        UsageError: a time or a posture name out of its range.
    """

    not_before: int | None = None
    not_after: int | None = None
    posture: tuple[str, ...] = ()
    delegate: bool = False

    def __post_init__(self) -> None:
        for moment in (self.not_before, self.not_after):
            if moment is not None and not 0 <= moment <= LATEST_TIME:
                raise UsageError("constraint: time must lie between 1970 and 9999")
        object.__setattr__(self, "posture", tuple(sorted(set(self.posture))))
        if len(self.posture) > MOST_POSTURES or not all(map(_POSTURE.fullmatch, self.posture)):
            raise UsageError(f"constraint: at most {MOST_POSTURES} postures, named like 'verified-boot'")

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object, holding only what is set."""
        members: dict[str, Any] = {
            "not_before": self.not_before,
            "not_after": self.not_after,
            "posture": list(self.posture) or None,
            "delegate": self.delegate or None,
        }
        return {name: value for name, value in members.items() if value is not None}

    @staticmethod
    def from_json(value: object) -> Constraints:
        """Reads the JSON object.

        Raises:
            MalformedError: not a well-formed object of constraints.
            UnsupportedVersionError: it holds a constraint that this version cannot check.
        """
        with Record(value, "grant: constraints") as record:
            if isinstance(value, dict):
                _refuse_unknown(value)
            return Constraints(
                not_before=_moment(record, "not_before"),
                not_after=_moment(record, "not_after"),
                posture=_postures(record),
                delegate=_delegate(record),
            )

    def check(self, now: Now, posture: frozenset[str] = frozenset()) -> None:
        """Checks that the grant counts now and here.

        Args:
            now: the present time.
            posture: names of what this device was found to be.

        Raises:
            ExpiredError: not valid yet, or not any more.
            PostureError: a demanded posture is not among them.
        """
        if self.not_before is not None and now.begins < self.not_before:
            raise ExpiredError(
                f"the grant is not valid before {_date(self.not_before)}; it is {_date(now.begins)}",
                hint="check the clock of this device",
            )
        if self.not_after is not None and now.ends > self.not_after:
            raise ExpiredError(
                f"the grant expired on {_date(self.not_after)}; it is {_date(now.ends)}",
                hint="ask the publisher for a new grant",
            )
        missing = [name for name in self.posture if name not in posture]
        if missing:
            raise PostureError(f"the grant demands a posture that was not shown: {', '.join(missing)}")

    def check_window(self) -> None:
        """Refuses a time that never comes, before a grant is made that nobody could ever open.

        Raises:
            UsageError: it would count from a later second on than until.
        """
        if self.not_before is not None and self.not_after is not None and self.not_before > self.not_after:
            raise UsageError(
                f"a grant from {_date(self.not_before)} until {_date(self.not_after)} never counts",
                hint="check --not-before, --not-after and the times of your own grant",
            )

    def narrow(self, other: Constraints) -> Constraints:
        """Returns the constraints that demand what both demand and allow what both allow.

        Raises:
            UsageError: together they name too many postures.
        """
        return Constraints(
            not_before=max(_set(self.not_before, other.not_before), default=None),
            not_after=min(_set(self.not_after, other.not_after), default=None),
            posture=self.posture + other.posture,
            delegate=self.delegate and other.delegate,
        )

    def delegated(self, wanted: Constraints) -> Constraints:
        """Returns the constraints of a grant that the holder of this one makes for somebody else.

        Raises:
            RefusedError: this grant may not be passed on.
        """
        if not self.delegate:
            raise RefusedError(
                "this grant may not be passed on",
                hint="use the key of an administrator, for whom the bundle was sealed with --admin",
            )
        return self.narrow(wanted)


def _refuse_unknown(members: dict[str, Any]) -> None:
    unknown = sorted(set(members) - _KNOWN)
    if unknown:
        raise UnsupportedVersionError(
            f"grant: constraint {unknown[0][:64]!r} is not known to this version", hint="update modelkeep"
        )


def _moment(record: Record, name: str) -> int | None:
    return record.integer(name, highest=LATEST_TIME) if name in record else None


def _postures(record: Record) -> tuple[str, ...]:
    if "posture" not in record:
        return ()
    names = record.items("posture", longest=MOST_POSTURES)
    if not names or not all(isinstance(name, str) and _POSTURE.fullmatch(name) for name in names):
        raise record.fault("posture", "must list names of postures")
    if names != sorted(set(names)):
        raise record.fault("posture", "must be in ascending order without repetition")
    return tuple(names)


def _delegate(record: Record) -> bool:
    if "delegate" not in record:
        return False
    if not record.boolean("delegate"):
        raise record.fault("delegate", "must be true when present")
    return True


def _set(*moments: int | None) -> list[int]:
    return [moment for moment in moments if moment is not None]


def _date(moment: int) -> str:
    if not 0 <= moment <= LATEST_TIME:
        return f"second {moment}"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
