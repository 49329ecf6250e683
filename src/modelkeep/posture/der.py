"""DER, read strictly: one value, one encoding, nothing left over. Source: ITU-T X.690.

Only what attestations are made of. Nothing here calls itself, so that nesting costs no stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from modelkeep.errors import MalformedError

_CONSTRUCTED, _LONG_TAG, _LONG_LENGTH = 0x20, 0x1F, 0x80
_CONTEXT = 2
# Tags of Android end at 724, lengths at what a certificate holds.
_TAG_BYTES, _LENGTH_BYTES = 3, 4


class Kind(IntEnum):
    """The universal types that are read, by tag number."""

    BOOLEAN = 1
    INTEGER = 2
    OCTET_STRING = 4
    NULL = 5
    ENUMERATED = 10
    SEQUENCE = 16
    SET = 17


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        what: where it is, for messages.
        space: class of its tag: 0 universal, 2 context-specific.
        constructed: does it hold other values?
        number: number of its tag.
        content: its content.
    """

    what: str
    space: int
    constructed: bool
    number: int
    content: bytes

    def fault(self, problem: str) -> MalformedError:
        """Returns the error that says what is wrong with this value."""
        return MalformedError(f"{self.what}: {problem}")

    def sequence(self) -> tuple[Value, ...]:
        """Returns the values of a SEQUENCE."""
        return self._parts(Kind.SEQUENCE)

    def collection(self) -> tuple[Value, ...]:
        """Returns the values of a SET OF, in any order: devices write them as they come."""
        return self._parts(Kind.SET)

    def integer(self) -> int:
        """Returns an INTEGER that is not negative."""
        return self._number(Kind.INTEGER)

    def enumerated(self) -> int:
        """Returns an ENUMERATED."""
        return self._number(Kind.ENUMERATED)

    def octets(self) -> bytes:
        """Returns the bytes of an OCTET STRING."""
        return self._primitive(Kind.OCTET_STRING)

    def boolean(self) -> bool:
        """Returns a BOOLEAN; DER has one true value, and others have passed for either."""
        content = self._primitive(Kind.BOOLEAN)
        if content not in (b"\x00", b"\xff"):
            raise self.fault("a boolean that is neither true nor false")
        return content == b"\xff"

    def null(self) -> bool:
        """Returns True for a NULL."""
        if self._primitive(Kind.NULL):
            raise self.fault("a NULL with content")
        return True

    def tagged(self) -> tuple[int, Value]:
        """Returns number and value of an explicit context-specific tag."""
        if self.space != _CONTEXT or not self.constructed:
            raise self.fault("expected an explicit tag")
        return self.number, decode(self.content, f"{self.what}: [{self.number}]")

    def _parts(self, kind: Kind) -> tuple[Value, ...]:
        self._expect(kind, constructed=True)
        return tuple(_values(self.content, self.what))

    def _number(self, kind: Kind) -> int:
        content = self._primitive(kind)
        if (
            not content
            or content[0] & 0x80
            or (content[:1] == b"\0" and len(content) > 1 and not content[1] & 0x80)
        ):
            raise self.fault("a number that is negative or not in its shortest form")
        return int.from_bytes(content)

    def _primitive(self, kind: Kind) -> bytes:
        self._expect(kind, constructed=False)
        return self.content

    def _expect(self, kind: Kind, *, constructed: bool) -> None:
        if (self.space, self.number, self.constructed) != (0, kind, constructed):
            raise self.fault(f"expected {kind.name.replace('_', ' ')}")


def decode(data: bytes, what: str) -> Value:
    """Returns the one value that `data` holds.

    Args:
        data: the encoding, whole.
        what: where it is, for messages.

    Raises:
        MalformedError: not one value in DER.
    """
    value, end = _read(data, 0, what)
    if end != len(data):
        raise value.fault("bytes follow its end")
    return value


def _values(data: bytes, what: str) -> Iterator[Value]:
    offset = 0
    while offset < len(data):
        value, offset = _read(data, offset, what)
        yield value


def _read(data: bytes, offset: int, what: str) -> tuple[Value, int]:
    try:
        lead = data[offset]
        number, offset = _tag(data, offset)
        length, offset = _length(data, offset)
    except (IndexError, ValueError):
        raise MalformedError(f"{what}: not DER") from None
    end = offset + length
    if end > len(data):
        raise MalformedError(f"{what}: cut off")
    return Value(what, lead >> 6, bool(lead & _CONSTRUCTED), number, data[offset:end]), end


def _tag(data: bytes, offset: int) -> tuple[int, int]:
    """Returns the tag's number and where its length begins."""
    number = data[offset] & _LONG_TAG
    if number < _LONG_TAG:
        return number, offset + 1
    number = 0
    for place in range(offset + 1, offset + 1 + _TAG_BYTES):
        number = number << 7 | data[place] & 0x7F
        if number == 0:
            break  # leading zeros
        if not data[place] & 0x80:
            return _at_least(number, _LONG_TAG), place + 1
    raise ValueError


def _length(data: bytes, offset: int) -> tuple[int, int]:
    """Returns the length and where the content begins."""
    first = data[offset]
    if first < _LONG_LENGTH:
        return first, offset + 1
    size = first & 0x7F
    length = int.from_bytes(data[offset + 1 : offset + 1 + size])
    if not 1 <= size <= _LENGTH_BYTES or data[offset + 1] == 0:
        raise ValueError
    return _at_least(length, _LONG_LENGTH), offset + 1 + size


def _at_least(number: int, lowest: int) -> int:
    if number < lowest:
        raise ValueError  # a shorter form exists
    return number
