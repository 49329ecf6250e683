"""A kilobyte of ONNX graph whose weights stay where they are.

ONNX Runtime uses weights in place only if the graph says that they are external data. So the graph
is written anew: every large initializer points by offset into the very file it came from. Nothing
is copied except that small graph. Field numbers: onnx.proto of the ONNX specification.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelkeep.errors import MalformedError
from modelkeep.formats.onnx_graph import read_constant
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
    singles,
    text,
)

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_DIMENSIONS, _ELEMENT_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 9, 13, 14
_EXTERNAL = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
# Fields that a tensor with raw data alone has: besides these, its documentation.
_ONCE_IN_RAW_TENSORS = (_ELEMENT_TYPE, _RAW_DATA)
_ALSO_IN_RAW_TENSORS = frozenset({_DIMENSIONS, _NAME, 12})

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
# Nodes have fields of their own to read through; hardly one without weights is as long.
_SMALLEST_CONSTANT = 4096

_ELSEWHERE = re.compile(b"location")

_Piece = Span | bytes  # of the original, or new


@dataclass(slots=True)
class _Message:
    """A message that is put together from pieces of another one, which are not copied yet."""

    pieces: list[_Piece] = field(default_factory=list)
    size: int = 0

    def add(self, new: bytes) -> None:
        self.pieces.append(new)
        self.size += len(new)

    def keep(self, span: Span) -> None:
        last = self.pieces[-1] if self.pieces else b""
        if isinstance(last, tuple) and last[1] == span[0]:
            self.pieces[-1] = (last[0], span[1])
        else:
            self.pieces.append(span)
        self.size += span[1] - span[0]

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


@dataclass(frozen=True, slots=True)
class _RawTensor:
    """A tensor whose weights can stay where they are: these, and whatever else it says of itself."""

    start: int
    end: int
    alignment: int
    rest: tuple[Span, ...]


class SlimGraph:
    """A model without its weights, which it finds in the file that it was made from.

    Weights of constants are lent like those of initializers, which is what ONNX Runtime makes of constants.

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
        self._location = _entry(_LOCATION, name)
        self._renamed = renamed
        self._shifts: list[_Shift] = []
        self.lends = False
        self._message = self._model()
        self.size = self._message.size

    def may_need_other_files(self) -> bool:
        """Returns False where no tensor lies in another file, without a walk to all of them.

        Such a tensor says so with one word, in what is left of the model when weights are taken out. The walk
        (`external_files`) takes longer than loading most small models.
        """
        spans = (piece for piece in self._message.pieces if isinstance(piece, tuple))
        return any(_ELSEWHERE.search(self._view, *span) for span in spans)

    def write(self, destination: memoryview) -> None:
        """Writes the small model into `destination`, then aligns the weights in the original.

        What the original holds besides weights is destroyed by that. Call it once.
        """
        position = 0
        for piece in self._message.pieces:
            content = piece if isinstance(piece, bytes) else self._view[slice(*piece)]
            destination[position : position + len(content)] = content
            position += len(content)
        for shift in self._shifts:
            start, end = shift.start - shift.distance, shift.end - shift.distance
            self._view[start:end] = self._view[shift.start : shift.end]

    def _model(self) -> _Message:
        result = _Message()
        graphs = 0
        for part in fields(self._view, 0, len(self._view)):
            if part.number == _MODEL_GRAPH:
                graphs += 1
                result.nest(_MODEL_GRAPH, self._graph(message(part, "ONNX model: graph")))
            else:
                result.keep(part.whole)
        if graphs != 1:
            raise MalformedError(f"not an ONNX model: it has {graphs or 'no'} graphs")
        return result

    def _graph(self, span: Span) -> _Message:
        result = _Message()
        # With new names for other files, every tensor may have to get one.
        smallest = {
            _GRAPH_NODE: _SMALLEST_CONSTANT,
            _GRAPH_INITIALIZER: 0 if self._renamed else _SMALLEST_LENT,
        }
        kept, end = span
        for part in fields(self._view, *span, smallest):
            tensor = self._rewritten(part)
            if tensor is not None:
                result.keep((kept, part.whole[0]))
                result.nest(_GRAPH_INITIALIZER, tensor)
                kept = part.whole[1]
        result.keep((kept, end))
        return result

    def _rewritten(self, part: Field) -> _Message | None:
        """Returns the initializer that takes the place of a part of the graph, or None to keep that."""
        if part.number == _GRAPH_INITIALIZER:
            return self._initializer(message(part, "initializer"), part.whole[0])
        return self._constant(message(part, "node")) if part.number == _GRAPH_NODE else None

    def _initializer(self, span: Span, header: int) -> _Message | None:
        raw = _lendable(self._view, span)
        if raw is not None:
            return self._lent(raw, header)
        return self._with_names_replaced(span) if self._renamed else None

    def _constant(self, span: Span) -> _Message | None:
        found = read_constant(self._view, span)
        raw = None if found is None else _lendable(self._view, found.tensor)
        if found is None or raw is None:
            return None
        result = self._lent(raw, found.tensor[0])
        result.add(_bytes_field(_NAME, found.output))  # of two names, the last one counts
        return result

    def _lent(self, raw: _RawTensor, header: int) -> _Message:
        result = _Message()
        for span in raw.rest:
            result.keep(span)
        self.lends = True
        offset, length = self._aligned(raw, header), raw.end - raw.start
        result.add(
            self._location + _entry(_OFFSET, str(offset)) + _entry(_LENGTH, str(length)) + _IS_EXTERNAL
        )
        return result

    def _aligned(self, raw: _RawTensor, header: int) -> int:
        """Returns where the data will start; where its own header is too short to move, it stays."""
        distance = raw.start % raw.alignment
        if distance == 0 or distance > raw.start - header:
            return raw.start
        self._shifts.append(_Shift(raw.start, raw.end, distance))
        return raw.start - distance

    def _with_names_replaced(self, span: Span) -> _Message:
        result = _Message()
        for part in fields(self._view, *span):
            location = self._new_location(part) if part.number == _EXTERNAL_DATA else None
            if location is None:
                result.keep(part.whole)
            else:
                result.add(_entry(_LOCATION, location))
        return result

    def _new_location(self, part: Field) -> str | None:
        """Returns what to call the file that an entry of external data names; None where it names none."""
        found = collect(self._view, message(part, "external data"), (_ENTRY_KEY, _ENTRY_VALUE))
        key, value = (only(found[number], "external data") for number in (_ENTRY_KEY, _ENTRY_VALUE))
        if key is None or value is None or text(self._view, key, "external data") != "location":
            return None
        location = text(self._view, value, "external data")
        return self._renamed.get(location, location)


def _lendable(view: memoryview, span: Span) -> _RawTensor | None:
    """Returns a tensor if its weights can stay where they are.

    Small or unusual tensors cannot; what is wrong with them, the runtime says better.
    """
    if span[1] - span[0] < _SMALLEST_LENT:
        return None
    parts = list(fields(view, *span))
    found = singles(parts, _ONCE_IN_RAW_TENSORS, _ALSO_IN_RAW_TENSORS)
    if found is None:
        return None
    raw, element = found[_RAW_DATA], integer(found[_ELEMENT_TYPE], "initializer: element type")
    length = _length([part for part in parts if part.number == _DIMENSIONS], element)
    start, end = raw.span
    smallest = _SMALLEST_LENT_INT64 if element == _INT64 else _SMALLEST_LENT
    if raw.wire_type != BYTES or end - start != length or length < smallest:
        return None
    rest = tuple(part.whole for part in parts if part.number != _RAW_DATA)
    return _RawTensor(start, end, min(max(_ELEMENT_BITS[element] // 8, 1), _WIDEST_ALIGNMENT), rest)


def _length(dimensions: list[Field], element: int) -> int | None:
    """Returns the length in bytes that the shape asks for, or None where it cannot be told."""
    plain = all(dimension.wire_type == VARINT for dimension in dimensions)
    if element not in _ELEMENT_BITS or not plain or len(dimensions) > _MOST_DIMENSIONS:
        return None
    count = math.prod(dimension.value for dimension in dimensions)
    return -(-count * _ELEMENT_BITS[element] // 8)


def _bytes_field(number: int, content: bytes) -> bytes:
    return encode_varint(number << 3 | BYTES) + encode_varint(len(content)) + content


def _entry(key: bytes, value: str) -> bytes:
    """Returns an entry of a tensor's external data; `key` is one of the fields below."""
    return _bytes_field(_EXTERNAL_DATA, key + _bytes_field(_ENTRY_VALUE, value.encode()))


_LOCATION, _OFFSET, _LENGTH = (_bytes_field(_ENTRY_KEY, key) for key in (b"location", b"offset", b"length"))
_IS_EXTERNAL = encode_varint(_DATA_LOCATION << 3 | VARINT) + encode_varint(_EXTERNAL)
