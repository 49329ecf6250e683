"""One line of the journal: what was decided, and the digest of the line before.

Source: spec/granter-v1.md, "Journal".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import MalformedError
from modelkeep.record import Record

LONGEST_LINE = 4096
DIGEST_BYTES = 32
BEFORE_THE_FIRST = bytes(DIGEST_BYTES)

Fact = str | int | bool

_NAME = re.compile(r"[a-z][a-z_]{0,31}")


class Event(Enum):
    """What a line is about."""

    BEGUN = "begun"
    POLICY = "policy"
    ROSTER = "roster"
    GRANTED = "granted"
    REFUSED = "refused"
    WAITS = "waits"
    ALLOWED = "allowed"
    REPLACED = "replaced"
    UNNAMED = "unnamed"


_EVENTS = {event.value: event for event in Event}


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What was decided, in its place.

    Attributes:
        number: from 1.
        previous: SHA-256 of the line before, 32 bytes; zeros in the first.
        at: when, in seconds since 1970-01-01 UTC, by the granter's clock.
        event: what it is about.
        facts: what there is to say of it: texts, numbers, yes or no.
    """

    number: int
    previous: bytes
    at: int
    event: Event
    facts: Mapping[str, Fact]

    def to_line(self) -> bytes:
        """Returns the line, with its line feed."""
        members = {
            "number": self.number,
            "previous": self.previous.hex(),
            "at": self.at,
            "event": self.event.value,
        }
        return canonical.encode({**self.facts, **members}) + b"\n"

    @staticmethod
    def from_line(line: bytes) -> JournalEntry:
        """Reads a line.

        Raises:
            MalformedError: not one.
        """
        if len(line) > LONGEST_LINE or not line.endswith(b"\n"):
            raise MalformedError("journal: a line that is too long, or has no end")
        members = canonical.decode(line[:-1], "journal")
        record = Record(members, "journal")
        entry = JournalEntry(
            number=record.integer("number", lowest=1),
            previous=record.hexadecimal("previous", DIGEST_BYTES),
            at=record.integer("at", highest=LATEST_TIME),
            event=record.choice("event", _EVENTS),
            facts={name: value for name, value in members.items() if name not in _OWN},
        )
        _check_facts(entry.facts)
        return entry


_OWN = frozenset({"number", "previous", "at", "event"})


def digest_of(line: bytes) -> bytes:
    """Returns by what the next line names this one: SHA-256 of all of it, 32 bytes."""
    return hashlib.sha256(line).digest()


def _check_facts(facts: Mapping[str, Fact]) -> None:
    for name, value in facts.items():
        if not _NAME.fullmatch(name) or not isinstance(value, str | int | bool):
            raise MalformedError(f"journal: {name[:32]!r} is nothing that a line says")
