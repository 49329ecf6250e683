"""Protocol Buffers wire format, read strictly and without copying.

Source: the Protocol Buffers encoding specification. Groups are refused: nothing that is read here
uses them. Bytes stay where they are; a field of bytes is given by its position in the view, so a
model of many gigabytes costs no memory to walk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from modelkeep.errors import MalformedError

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5

Span = tuple[int, int]  # start and end of a message or of bytes within the view

_LARGEST_KEY = 2**32 - 1
_LARGEST_VARINT = 2**64 - 1


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: field number.
        wire_type: `VARINT`, `FIXED64`, `BYTES` or `FIXED32`.
        value: the unsigned value of a varint; 0 for the other wire types.
        span: where the payload lies in the view.
        whole: where all of it lies, key and length included.
    """

    number: int
    wire_type: int
    value: int
    span: Span
    whole: Span


def fields(view: memoryview, start: int, end: int) -> Iterator[Field]:
    """Yields the fields of the message at `view[start:end]` in their order.

    Args:
        view: one-dimensional view of bytes; it may exceed 4 GiB.
        start: first byte of the message.
        end: first byte after it, at most `len(view)`.

    Raises:
        MalformedError: truncated, a varint beyond 64 bits, a group, field number 0, or a length that
            reaches beyond the message.
    """
    position = start
    while position < end:
        key, after = (view[position], position + 1) if view[position] < 0x80 else _varint(view, position, end)
        number, wire_type = key >> 3, key & 7
        if number == 0 or key > _LARGEST_KEY:
            raise MalformedError("protobuf: invalid field number")
        # Most fields are short messages and texts, and models have hundreds of thousands.
        if wire_type == BYTES and after < end and view[after] < 0x80 and view[after] < end - after:
            value, span = 0, (after + 1, after + 1 + view[after])
        else:
            value, span = _payload(view, wire_type, after, end)
        yield Field(number, wire_type, value, span, (position, span[1]))
        position = span[1]


def collect(view: memoryview, span: Span, numbers: Collection[int]) -> dict[int, list[Field]]:
    """Returns the fields of the message at `span` whose number is in `numbers`, keyed by number.

    Raises:
        MalformedError: see `fields`.
    """
    found: dict[int, list[Field]] = {number: [] for number in numbers}
    for field in fields(view, *span):
        if field.number in found:
            found[field.number].append(field)
    return found


def grouped(found: Iterable[Field], numbers: Collection[int]) -> dict[int, list[Field]] | None:
    """Returns fields keyed by number, or None if one has a number that is not in `numbers`."""
    groups: dict[int, list[Field]] = {number: [] for number in numbers}
    for field in found:
        if field.number not in groups:
            return None
        groups[field.number].append(field)
    return groups


def only(found: list[Field], what: str) -> Field | None:
    """Returns the one field of a list, or None when the list is empty.

    Raises:
        MalformedError: several. Parsers disagree on which one counts, so none does here.
    """
    if len(found) > 1:
        raise MalformedError(f"{what}: given more than once")
    return found[0] if found else None


def message(field: Field, what: str) -> Span:
    """Returns where the nested message or the bytes of `field` lie.

    Raises:
        MalformedError: the field is of another wire type.
    """
    if field.wire_type != BYTES:
        raise MalformedError(f"{what}: wrong wire type")
    return field.span


def text(view: memoryview, field: Field, what: str) -> str:
    """Returns the string in `field`.

    Raises:
        MalformedError: the field is of another wire type, or not UTF-8.
    """
    start, end = message(field, what)
    try:
        return str(view[start:end], "utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"{what}: not UTF-8") from None


def integer(field: Field, what: str) -> int:
    """Returns the signed 64-bit integer in `field`.

    Raises:
        MalformedError: the field is of another wire type.
    """
    if field.wire_type != VARINT:
        raise MalformedError(f"{what}: wrong wire type")
    return field.value - 2**64 if field.value >= 2**63 else field.value


def encode_varint(value: int) -> bytes:
    """Returns a non-negative integer in its shortest encoding."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _payload(view: memoryview, wire_type: int, position: int, end: int) -> tuple[int, Span]:
    if wire_type == VARINT:
        value, after = _varint(view, position, end)
        return value, (position, after)
    if wire_type == BYTES:
        length, position = _varint(view, position, end)
    elif wire_type in (FIXED32, FIXED64):
        length = 4 if wire_type == FIXED32 else 8
    else:
        raise MalformedError(f"protobuf: wire type {wire_type} is not supported")
    if length > end - position:
        raise MalformedError("protobuf: a field reaches beyond its message")
    return 0, (position, position + length)


def _varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    if position < end and view[position] < 0x80:  # most of them
        return view[position], position + 1
    value = 0
    for index, byte in enumerate(view[position : min(end, position + 10)]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value > _LARGEST_VARINT:
                break
            return value, position + index + 1
    raise MalformedError("protobuf: truncated or overlong varint")
