"""Protocol Buffers wire format, read strictly and without copying.

Source: the Protocol Buffers encoding specification. Groups are refused: nothing that is read here
uses them. Bytes stay where they are; a field of bytes is given by its position in the view, so a
model of many gigabytes costs no memory to walk.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from modelkeep.errors import MalformedError

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5

Span = tuple[int, int]  # start and end of a message or of bytes within the view

_LARGEST_KEY = 2**32 - 1
_LARGEST_VARINT = 2**64 - 1
_NEVER = sys.maxsize
_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


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


def fields(
    view: memoryview, start: int, end: int, at_least: Mapping[int, int] | None = None
) -> Iterator[Field]:
    """Yields the fields of the message at `view[start:end]` in their order.

    Args:
        view: one-dimensional view of bytes; it may exceed 4 GiB.
        start: first byte of the message.
        end: first byte after it, at most `len(view)`.
        at_least: if given, messages, texts and bytes come out only under these numbers, and if they are at
            least so many bytes long.

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
        if wire_type == BYTES:
            value, span = 0, _bytes(view, after, end)
        else:
            value, span = _number(view, wire_type, after, end)
        if at_least is None or span[1] - span[0] >= at_least.get(number, _NEVER) or wire_type != BYTES:
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


def singles(
    found: Iterable[Field], numbers: Collection[int], others: Collection[int] = ()
) -> dict[int, Field] | None:
    """Returns the one field of each of `numbers`; None if one is missing, there twice, or in neither."""
    result: dict[int, Field] = {}
    for field in found:
        number = field.number
        if number in numbers and number not in result:
            result[number] = field
        elif number not in others:
            return None
    return result if len(result) == len(numbers) else None


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
    if value < 0x80:  # most of them
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _bytes(view: memoryview, position: int, end: int) -> Span:
    # Most are short messages and texts, and models have hundreds of thousands.
    if position < end and view[position] < 0x80:
        length, start = view[position], position + 1
    else:
        length, start = _varint(view, position, end)
    if length > end - start:
        raise MalformedError("protobuf: a field reaches beyond its message")
    return start, start + length


def _number(view: memoryview, wire_type: int, position: int, end: int) -> tuple[int, Span]:
    if wire_type == VARINT:
        value, after = _varint(view, position, end)
        return value, (position, after)
    if wire_type not in (FIXED32, FIXED64):
        raise MalformedError(f"protobuf: wire type {wire_type} is not supported")
    length = 4 if wire_type == FIXED32 else 8
    if length > end - position:
        raise MalformedError("protobuf: a field reaches beyond its message")
    return 0, (position, position + length)


def _varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    if position < end and view[position] < 0x80:  # most of them
        return view[position], position + 1
    if position + 1 < end and view[position + 1] < 0x80:  # most others
        return view[position] & 0x7F | view[position + 1] << 7, position + 2
    value = 0
    for index, byte in enumerate(view[position : min(end, position + 10)]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value > _LARGEST_VARINT:
                break
            return value, position + index + 1
    raise MalformedError("protobuf: truncated or overlong varint")
