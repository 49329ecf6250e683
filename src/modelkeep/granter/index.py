"""What the granter looks up: made of the journal and of the roster, and made anew where it is lost.

A file of SQLite in the granter's own folder: a million devices take no more memory than ten. Nothing stands
here that does not stand in the journal or the roster, but for questions that wait for their answers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelkeep.errors import MalformedError, StorageError
from modelkeep.granter.journal import Journal, Place
from modelkeep.granter.journal_entry import Event, JournalEntry
from modelkeep.granter.roster import RosterHead
from modelkeep.granter.roster_device import RosterDevice
from modelkeep.granter.waiting import Waiting

DAY = 86_400

# One of another version is made anew from the journal.
VERSION = 2

_TABLES = f"""
BEGIN;
CREATE TABLE place (number INTEGER, digest BLOB, offset INTEGER);
CREATE TABLE newest (what TEXT PRIMARY KEY, number INTEGER, digest BLOB);
CREATE TABLE roster (device BLOB PRIMARY KEY, name TEXT, key TEXT, models TEXT, class TEXT,
    hardware TEXT UNIQUE) WITHOUT ROWID;
CREATE TABLE keys (device BLOB PRIMARY KEY, stands_for BLOB, since INTEGER, replaced INTEGER) WITHOUT ROWID;
CREATE INDEX keys_stand_for ON keys (stands_for);
CREATE TABLE leases (device BLOB, model TEXT, bundle BLOB, begins INTEGER, ends INTEGER,
    PRIMARY KEY (device, model, bundle)) WITHOUT ROWID;
CREATE TABLE days (day INTEGER, what TEXT, count INTEGER, PRIMARY KEY (day, what)) WITHOUT ROWID;
CREATE TABLE waiting (device BLOB, model TEXT, name TEXT, replaces BLOB, allowed INTEGER,
    PRIMARY KEY (device, model)) WITHOUT ROWID;
CREATE TABLE questions (nonce BLOB PRIMARY KEY, subject BLOB, device BLOB, asked BLOB, old BLOB,
    expected BLOB, made_at INTEGER) WITHOUT ROWID;
CREATE INDEX questions_by_subject ON questions (subject, made_at);
CREATE INDEX questions_by_device ON questions (device);
PRAGMA user_version = {VERSION};
COMMIT;
"""

_LISTED = "name, key, models, class, hardware"
_WAITING = "device, name, model, replaces, allowed"
# Most keys took no other's place: one look at both tables says so.
_STANDING = f"""SELECT {_LISTED}, stands_for, replaced FROM (SELECT ? AS asked)
    LEFT JOIN roster ON roster.device = asked LEFT JOIN keys ON keys.device = asked"""  # noqa: S608 - no input


@dataclass(frozen=True, slots=True)
class Lease:
    """A grant that was given.

    Attributes:
        begins: when it was given, seconds since 1970-01-01 UTC.
        ends: the last second that it counts.
    """

    begins: int
    ends: int


class Index:
    """The open index; what is changed counts with `commit`."""

    def __init__(self, path: Path) -> None:
        """Opens it; one that is missing or damaged is begun anew.

        Raises:
            StorageError: it can be neither read nor made.
        """
        with _in_words():
            self.database = _open_or_begin_anew(path)

    def close(self) -> None:
        """Closes it; what was not committed is forgotten."""
        self.database.close()

    def commit(self) -> None:
        """Makes the changes count."""
        with _in_words():
            self.database.commit()

    def catch_up(self, journal: Journal) -> Place:
        """Takes in the lines that it does not know, and returns the end of the journal.

        Raises:
            TamperedError: the journal is not the one that was known.
        """
        place = self.place
        for entry, behind in journal.following(place):
            self.take_in(entry)
            place = behind
        self.place = place
        journal.cut(place)
        self.commit()
        return place

    @property
    def place(self) -> Place:
        """How far it knows the journal."""
        row = self._one("SELECT number, digest, offset FROM place")
        return Place(*row) if row else Place()

    @place.setter
    def place(self, place: Place) -> None:
        self._do("DELETE FROM place")
        self._do("INSERT INTO place VALUES (?, ?, ?)", place.number, place.digest, place.offset)

    def take_in(self, entry: JournalEntry) -> None:
        """Takes in what a line of the journal says.

        Raises:
            MalformedError: the line does not say what such a line has to.
        """
        try:
            _TAKING_IN[entry.event](self, entry)
        except (KeyError, ValueError, TypeError):
            raise MalformedError(f"journal: line {entry.number} does not say what it has to") from None

    def newest(self, what: str) -> tuple[int, bytes]:
        """Returns number and digest of the newest roster or policy that was seen; zeros before the first."""
        return self._one("SELECT number, digest FROM newest WHERE what = ?", what) or (0, bytes(32))

    def take_roster(self, head: RosterHead, devices: Iterable[RosterDevice]) -> None:
        """Takes in the devices of a roster, in place of the last one's, if all of them are right.

        Raises:
            MalformedError: a key, name or hardware is there twice.
            TamperedError: see `RosterStream.devices`.
        """
        self.database.commit()
        try:
            self._do("DELETE FROM roster")
            self.database.executemany("INSERT INTO roster VALUES (?, ?, ?, ?, ?, ?)", map(_row, devices))
            self._set_newest("imported", head.number, head.digest)
        except sqlite3.IntegrityError:
            self.database.rollback()
            raise MalformedError("roster: a key or hardware is there twice") from None
        except BaseException:
            self.database.rollback()
            raise
        self.commit()

    def standing(self, device: bytes) -> RosterDevice | None:
        """Returns as which device of the roster a key counts; None if it counts as none, or was replaced."""
        *listed, stands_for, is_replaced = self._one(_STANDING, device)
        if is_replaced:
            return None
        # Operators may list the key that took another's place, in place of that one.
        return self._device("device", stands_for) if listed[0] is None else _listed(*listed)

    def is_replaced(self, device: bytes) -> bool:
        """Returns whether another key has taken this one's place."""
        row = self._one("SELECT replaced FROM keys WHERE device = ?", device)
        return row is not None and bool(row[0])

    def with_hardware(self, hardware: str) -> RosterDevice | None:
        """Returns the device of the roster that has this hardware."""
        return self._device("hardware", hardware)

    def holder(self, root: bytes) -> bytes:
        """Returns which key counts now as a device of the roster: its own, or the newest that replaced it."""
        row = self._one("SELECT device FROM keys WHERE stands_for = ? AND replaced = 0", root)
        return row[0] if row else root

    def replacements(self, root: bytes, after: int) -> int:
        """Returns how many keys took the place of a listed one, or of each other, after a moment."""
        query = "SELECT COUNT(*) FROM keys WHERE stands_for = ? AND since > ?"
        return int(self._one(query, root, after)[0])

    def groups(self) -> frozenset[str]:
        """Returns the groups that devices of the roster are in."""
        return frozenset(group for (group,) in self.database.execute("SELECT DISTINCT class FROM roster"))

    def leases(self, device: bytes) -> dict[tuple[str, bytes], Lease]:
        """Returns the newest grants that a key was given, by model and bundle."""
        rows = self.database.execute(
            "SELECT model, bundle, begins, ends FROM leases WHERE device = ?", (device,)
        )
        return {(model, bundle): Lease(begins, ends) for model, bundle, begins, ends in rows}

    def count(self, what: str, at: int) -> int:
        """Returns how many ``firsts`` or ``refusals`` there were on the day of a moment."""
        row = self._one("SELECT count FROM days WHERE day = ? AND what = ?", at // DAY, what)
        return row[0] if row else 0

    def waiting(self) -> Iterator[Waiting]:
        """Yields the grants that wait for a person, and those that were allowed and not given yet."""
        rows = self.database.execute(f"SELECT {_WAITING} FROM waiting ORDER BY name, model")  # noqa: S608 - no input
        return (_waiting(*row) for row in rows)

    def wait_of(self, device: bytes, model: str) -> Waiting | None:
        """Returns the grant of a model to a key that waits, or was allowed."""
        query = f"SELECT {_WAITING} FROM waiting WHERE device = ? AND model = ?"  # noqa: S608 - no input
        row = self._one(query, device, model)
        return _waiting(*row) if row else None

    def _device(self, column: str, value: bytes | str) -> RosterDevice | None:
        row = self._one(f"SELECT {_LISTED} FROM roster WHERE {column} = ?", value)  # noqa: S608 - of two words
        return None if row is None else _listed(*row)

    def _set_newest(self, what: str, number: int, digest: bytes) -> None:
        self._do("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", what, number, digest)

    def _one(self, query: str, *values: Any) -> Any:
        return self.database.execute(query, values).fetchone()

    def _do(self, statement: str, *values: Any) -> None:
        self.database.execute(statement, values)

    def _granted(self, entry: JournalEntry) -> None:
        facts = entry.facts
        device, model = bytes.fromhex(str(facts["device"])), facts["model"]
        row = (device, model, bytes.fromhex(str(facts["bundle"])), entry.at, facts["not_after"])
        self._do("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)", *row)
        if facts["first"]:
            self._count("firsts", entry.at)
            self._do("DELETE FROM waiting WHERE device = ? AND model = ?", device, model)

    def _refused(self, entry: JournalEntry) -> None:
        self._count("refusals", entry.at)

    def _waits(self, entry: JournalEntry) -> None:
        facts = entry.facts
        device, replaces = (bytes.fromhex(str(facts.get(name, ""))) for name in ("device", "replaces"))
        row = (device, facts["model"], facts["name"], replaces, 0)
        self._do("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?)", *row)

    def _allowed(self, entry: JournalEntry) -> None:
        device, model = bytes.fromhex(str(entry.facts["device"])), entry.facts["model"]
        self._do("UPDATE waiting SET allowed = 1 WHERE device = ? AND model = ?", device, model)

    def _replaced(self, entry: JournalEntry) -> None:
        device, old, root = (bytes.fromhex(str(entry.facts[name])) for name in ("device", "old", "root"))
        self._do("INSERT INTO keys VALUES (?, ?, 0, 1) ON CONFLICT DO UPDATE SET replaced = 1", old, root)
        self._do("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, 0)", device, root, entry.at)
        # What the old key had, the new one has had, too: it is no first grant.
        self._do(
            "INSERT OR IGNORE INTO leases SELECT ?, model, bundle, 0, 0 FROM leases WHERE device = ?",
            device,
            old,
        )
        self._do(
            "DELETE FROM waiting WHERE device = ? AND model IN (SELECT model FROM leases WHERE device = ?)",
            device,
            device,
        )

    def _numbered(self, entry: JournalEntry) -> None:
        self._set_newest(
            entry.event.value, int(entry.facts["roster"]), bytes.fromhex(str(entry.facts["digest"]))
        )

    def _policy(self, entry: JournalEntry) -> None:
        self._set_newest(entry.event.value, 1, bytes.fromhex(str(entry.facts["digest"])))

    def _nothing(self, entry: JournalEntry) -> None:
        pass

    def _count(self, what: str, at: int) -> None:
        self._do(
            "INSERT INTO days VALUES (?, ?, 1) ON CONFLICT (day, what) DO UPDATE SET count = count + 1",
            at // DAY,
            what,
        )


_TAKING_IN = {
    Event.BEGUN: Index._nothing,
    Event.POLICY: Index._policy,
    Event.ROSTER: Index._numbered,
    Event.GRANTED: Index._granted,
    Event.REFUSED: Index._refused,
    Event.WAITS: Index._waits,
    Event.ALLOWED: Index._allowed,
    Event.REPLACED: Index._replaced,
    Event.UNNAMED: Index._nothing,
}


def _waiting(device: bytes, name: str, model: str, replaces: bytes, allowed: int) -> Waiting:
    return Waiting(device, name, model, replaces, bool(allowed))


def _listed(name: str, key: str, models: str, group: str, hardware: str | None) -> RosterDevice:
    return RosterDevice(name, key, tuple(models.split(",")), group, hardware or "")


def _row(device: RosterDevice) -> tuple[bytes | str | None, ...]:
    # No pattern of models has a comma.
    models = ",".join(device.models)
    return device.device, device.name, device.key, models, device.group, device.hardware or None


def _open_or_begin_anew(path: Path) -> sqlite3.Connection:
    try:
        return _open(path)
    except sqlite3.OperationalError:
        # A full disk is no damage: open questions are nowhere else.
        raise
    except sqlite3.DatabaseError:
        for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            each.unlink(missing_ok=True)
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(_TABLES)
        elif version != VERSION:
            raise sqlite3.DatabaseError
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"the granter's index: {error}", hint="it is made anew where it is removed"
        ) from None
