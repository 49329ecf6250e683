"""FlatBuffers, read strictly and without copying.

Source: "FlatBuffer Internals" of the FlatBuffers documentation. Every offset points forward and is held
against the end of the buffer, so that reading ends; what is read is what a verified buffer means. Tables may
share what they point to, so that a small buffer could be read as a huge one: how much is read has a bound.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from modelkeep.errors import MalformedError

_OFFSET = struct.Struct("<I")
_VTABLE_OFFSET = struct.Struct("<i")
_LENGTH = struct.Struct("<H")
_SCALARS = {kind: struct.Struct(f"<{kind}") for kind in ("?", "b", "B", "i", "I", "q", "f")}
_SMALLEST_VTABLE = 4
# Bytes of names with references to them, of shapes and tables; Python takes some ten times as many for them.
MOST_READ = 2**25
# A table in a list counts as so many, since it may lie there as a mere reference to one that is read already.
_TABLE = 32


class _Reading:
    """How many bytes may still be read of a buffer."""

    def __init__(self) -> None:
        self._left = MOST_READ

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise MalformedError(
                "flatbuffers: it describes more than any model has",
                hint="export it again: what tables share counts for each of them",
            )


class Table:
    """A table of a buffer. Fields are told by their number in the schema, counted from 0.

    Every method raises MalformedError where the buffer is cut off or an offset leads out of it.
    """

    __slots__ = ("_position", "_reading", "_size", "_view", "_vtable", "_vtable_size")

    def __init__(self, view: memoryview, position: int, reading: _Reading) -> None:
        self._view = view
        self._position = position
        self._reading = reading
        self._vtable = position - _unpack(view, _VTABLE_OFFSET, position)
        if self._vtable < 0:
            raise MalformedError("flatbuffers: an offset leads out of the buffer")
        self._vtable_size = _unpack(view, _LENGTH, self._vtable)
        if self._vtable_size < _SMALLEST_VTABLE or self._vtable_size % 2:
            raise MalformedError("flatbuffers: an impossible table")
        self._size = _unpack(view, _LENGTH, self._vtable + 2)

    def scalar(self, field: int, kind: str, default: float = 0) -> float:
        """Returns a number; `kind` is its letter in the module `struct`."""
        place = self._place(field, _SCALARS[kind].size)
        return default if place is None else _unpack(self._view, _SCALARS[kind], place)

    def integer(self, field: int, kind: str, default: int = 0) -> int:
        """Returns an integer; `kind` is its letter in the module `struct`."""
        return int(self.scalar(field, kind, default))

    def text(self, field: int) -> str | None:
        """Returns a string, or None where there is none."""
        place = self._target(field)
        return None if place is None else self._text(place)

    def table(self, field: int) -> Table | None:
        """Returns a table, or None where there is none."""
        place = self._target(field)
        return None if place is None else Table(self._view, place, self._reading)

    def tables(self, field: int) -> Tables:
        """Returns a vector of tables, empty where there is none."""
        return Tables(self._view, *self._vector(field, _OFFSET.size), self._reading)

    def texts(self, field: int) -> Iterator[str]:
        """Yields the strings of a vector."""
        start, count = self._vector(field, _OFFSET.size)
        for place in range(start, start + count * _OFFSET.size, _OFFSET.size):
            yield self._text(place + _unpack(self._view, _OFFSET, place))

    def scalars(self, field: int, kind: str) -> tuple[float, ...]:
        """Returns a vector of numbers, empty where there is none."""
        size = _SCALARS[kind].size
        start, count = self._vector(field, size)
        self._reading.take(count * size)
        return struct.unpack_from(f"<{count}{kind}", self._view, start)

    def integers(self, field: int, kind: str) -> tuple[int, ...]:
        """Returns a vector of integers, empty where there is none."""
        return tuple(map(int, self.scalars(field, kind)))

    def __contains__(self, field: int) -> bool:
        return self._place(field, 0) is not None

    def _place(self, field: int, size: int) -> int | None:
        entry = _SMALLEST_VTABLE + 2 * field
        offset = 0
        if entry < self._vtable_size:
            offset = _unpack(self._view, _LENGTH, self._vtable + entry)
        if offset == 0:
            return None
        if offset + size > self._size:
            raise MalformedError("flatbuffers: a field reaches beyond its table")
        return self._position + offset

    def _target(self, field: int) -> int | None:
        place = self._place(field, _OFFSET.size)
        return None if place is None else place + _unpack(self._view, _OFFSET, place)

    def _vector(self, field: int, item: int) -> tuple[int, int]:
        place = self._target(field)
        return (0, 0) if place is None else _vector(self._view, place, item)

    def _text(self, place: int) -> str:
        start, count = _vector(self._view, place, 1)
        self._reading.take(_OFFSET.size + count)
        try:
            return str(self._view[start : start + count], "utf-8")
        except UnicodeDecodeError:
            raise MalformedError("flatbuffers: text is not UTF-8") from None


class Tables:
    """A vector of tables, each read when it is asked for."""

    def __init__(self, view: memoryview, start: int, count: int, reading: _Reading) -> None:
        self._view, self._start, self._count = view, start, count
        self._reading = reading

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Table:
        if not 0 <= index < self._count:
            raise MalformedError("flatbuffers: an index beyond its vector")
        self._reading.take(_TABLE)
        place = self._start + index * _OFFSET.size
        return Table(self._view, place + _unpack(self._view, _OFFSET, place), self._reading)

    def __iter__(self) -> Iterator[Table]:
        return (self[index] for index in range(self._count))


def identifier(view: memoryview) -> bytes:
    """Returns the four bytes that say which schema the buffer keeps, or fewer where it is cut off."""
    return bytes(view[4:8])


def root(view: memoryview) -> Table:
    """Returns the table that the buffer begins with.

    Raises:
        MalformedError: not a FlatBuffer.
    """
    return Table(view, _unpack(view, _OFFSET, 0), _Reading())


def _unpack(view: memoryview, kind: struct.Struct, position: int) -> int:
    if position < 0 or position + kind.size > len(view):
        raise MalformedError("flatbuffers: an offset leads out of the buffer")
    value: int = kind.unpack_from(view, position)[0]
    return value


def _vector(view: memoryview, place: int, item: int) -> tuple[int, int]:
    """Returns where the items of a vector start, and how many there are."""
    count, start = _unpack(view, _OFFSET, place), place + _OFFSET.size
    if count * item > len(view) - start:
        raise MalformedError("flatbuffers: a vector reaches beyond the buffer")
    return start, count
