"""A kilobyte of ONNX graph whose weights stay where they are.

ONNX Runtime uses weights in place only if the graph says that they are external data. So the graph
is written anew: every large initializer points by offset into the very file it came from. Nothing
is copied except that small graph. Field numbers: onnx.proto of the ONNX specification.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelkeep.formats.protobuf import (
    BYTES,
    VARINT,
    Field,
    Span,
    collect,
    encode_varint,
    fields,
    integer,
    message,
    only,
    text,
)

_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_DIMENSIONS, _ELEMENT_TYPE, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 9, 13, 14
_EXTERNAL = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
# Fields that a tensor with raw data alone has: besides the above, its name and its documentation.
_OF_RAW_TENSORS = frozenset({_DIMENSIONS, _ELEMENT_TYPE, 8, _RAW_DATA, 12})

_ELEMENT_BITS: Mapping[int, int] = {
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
}
_INT64 = 7
_MOST_DIMENSIONS = 64
_WIDEST_ALIGNMENT = 8
# ONNX Runtime copies what is smaller.
_SMALLEST_LENT = 128
# Shapes and axes are int64, and ONNX Runtime wants to see them while it infers other shapes.
_SMALLEST_LENT_INT64 = 4096

_Piece = memoryview | bytes


@dataclass(slots=True)
class _Message:
    """A message that is put together from pieces of another one, which are not copied yet."""

    pieces: list[_Piece] = field(default_factory=list)
    size: int = 0

    def add(self, piece: _Piece) -> None:
        self.pieces.append(piece)
        self.size += len(piece)

    def nest(self, number: int, inner: _Message) -> None:
        self.add(encode_varint(number << 3 | BYTES) + encode_varint(inner.size))
        self.pieces += inner.pieces
        self.size += inner.size


@dataclass(frozen=True, slots=True)
class _Shift:
    """Bytes that have to move left, over bytes that the small graph has taken over."""

    start: int
    end: int
    distance: int


class SlimGraph:
    """A model without its weights, which it finds in the file that it was made from.

    Attributes:
        size: length of the small model in bytes.
        lends: whether any weights stay in the original file.
    """

    def __init__(self, view: memoryview, name: str, renamed: Mapping[str, str]) -> None:
        """Plans the small model; nothing is changed yet.

        Args:
            view: the model, verified; writable.
            name: the location under which the runtime will be given `view`.
            renamed: further locations that the model refers to -> what to call them.

        Raises:
            MalformedError: not an ONNX model.
        """
        self._view = view
        self._name = name
        self._renamed = renamed
        self._shifts: list[_Shift] = []
        self.lends = False
        self._message = self._model()
        self.size = self._message.size

    def write(self, destination: memoryview) -> None:
        """Writes the small model into `destination`, then aligns the weights in the original.

        What the original holds besides weights is destroyed by that. Call it once.
        """
        position = 0
        for piece in self._message.pieces:
            destination[position : position + len(piece)] = piece
            position += len(piece)
        for shift in self._shifts:
            start, end = shift.start - shift.distance, shift.end - shift.distance
            self._view[start:end] = self._view[shift.start : shift.end]

    def _model(self) -> _Message:
        result = _Message()
        for part, whole in _parts(self._view, (0, len(self._view))):
            if part.number == _MODEL_GRAPH:
                result.nest(_MODEL_GRAPH, self._graph(message(part, "ONNX model: graph")))
            else:
                result.add(self._view[slice(*whole)])
        return result

    def _graph(self, span: Span) -> _Message:
        result = _Message()
        for part, whole in _parts(self._view, span):
            if part.number == _GRAPH_INITIALIZER:
                tensor = self._initializer(message(part, "initializer"), whole[0])
                result.nest(_GRAPH_INITIALIZER, tensor)
            else:
                result.add(self._view[slice(*whole)])
        return result

    def _initializer(self, span: Span, header: int) -> _Message:
        raw = _lendable(self._view, span)
        if raw is None:
            return self._with_names_replaced(span)
        result = _Message()
        for part, whole in _parts(self._view, span):
            if part.number != _RAW_DATA:
                result.add(self._view[slice(*whole)])
        offset = self._aligned(raw, header)
        self.lends = True
        for key, value in (
            ("location", self._name),
            ("offset", str(offset)),
            ("length", str(raw.end - raw.start)),
        ):
            result.nest(_EXTERNAL_DATA, _entry(key, value))
        result.add(encode_varint(_DATA_LOCATION << 3 | VARINT) + encode_varint(_EXTERNAL))
        return result

    def _aligned(self, raw: _RawData, header: int) -> int:
        """Returns where the data will start; where its own header is too short to move, it stays."""
        distance = raw.start % raw.alignment
        if distance == 0 or distance > raw.start - header:
            return raw.start
        self._shifts.append(_Shift(raw.start, raw.end, distance))
        return raw.start - distance

    def _with_names_replaced(self, span: Span) -> _Message:
        result = _Message()
        for part, whole in _parts(self._view, span):
            if part.number == _EXTERNAL_DATA:
                result.nest(_EXTERNAL_DATA, self._renamed_entry(message(part, "external data")))
            else:
                result.add(self._view[slice(*whole)])
        return result

    def _renamed_entry(self, span: Span) -> _Message:
        found = collect(self._view, span, (_ENTRY_KEY, _ENTRY_VALUE))
        key, value = (only(found[number], "external data") for number in (_ENTRY_KEY, _ENTRY_VALUE))
        if key is not None and value is not None and text(self._view, key, "external data") == "location":
            location = text(self._view, value, "external data")
            return _entry("location", self._renamed.get(location, location))
        result = _Message()
        result.add(self._view[slice(*span)])
        return result


@dataclass(frozen=True, slots=True)
class _RawData:
    start: int
    end: int
    alignment: int


def _lendable(view: memoryview, span: Span) -> _RawData | None:
    """Returns the weights of a tensor if they can stay where they are.

    Small or unusual tensors cannot; what is wrong with them, the runtime says better.
    """
    parts = list(fields(view, *span))
    found = {number: [part for part in parts if part.number == number] for number in _OF_RAW_TENSORS}
    if not all(part.number in _OF_RAW_TENSORS for part in parts):
        return None
    raw, kind = found[_RAW_DATA], found[_ELEMENT_TYPE]
    if len(raw) != 1 or raw[0].wire_type != BYTES or len(kind) != 1:
        return None
    element = integer(kind[0], "initializer: element type")
    length = _length(found[_DIMENSIONS], element)
    start, end = raw[0].span
    if end - start != length or length < (_SMALLEST_LENT_INT64 if element == _INT64 else _SMALLEST_LENT):
        return None
    return _RawData(start, end, min(max(_ELEMENT_BITS[element] // 8, 1), _WIDEST_ALIGNMENT))


def _length(dimensions: list[Field], element: int) -> int | None:
    """Returns the length in bytes that the shape asks for, or None where it cannot be told."""
    plain = all(dimension.wire_type == VARINT for dimension in dimensions)
    if element not in _ELEMENT_BITS or not plain or len(dimensions) > _MOST_DIMENSIONS:
        return None
    count = math.prod(dimension.value for dimension in dimensions)
    return -(-count * _ELEMENT_BITS[element] // 8)


def _entry(key: str, value: str) -> _Message:
    result = _Message()
    for number, content in ((_ENTRY_KEY, key.encode()), (_ENTRY_VALUE, value.encode())):
        result.add(encode_varint(number << 3 | BYTES) + encode_varint(len(content)) + content)
    return result


def _parts(view: memoryview, span: Span) -> Iterator[tuple[Field, Span]]:
    """Yields each field together with the place of all of it, key and length included."""
    start, _ = span
    for part in fields(view, *span):
        yield part, (start, part.span[1])
        start = part.span[1]
