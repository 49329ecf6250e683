"""What an ONNX type says of an input: tensors, and sequences, maps and optionals of them.

Field numbers and element types: onnx.proto of the ONNX specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.contract import Dimension, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.protobuf import Field, Span, collect, integer, message, only

_TENSOR, _SEQUENCE, _MAP, _OPAQUE, _SPARSE_TENSOR, _OPTIONAL = 1, 4, 5, 7, 8, 9
_TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2
_ELEMENT = 1
_KEY, _VALUE = 1, 2
_SHAPE_DIMENSION = 1
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2

ELEMENT_TYPES: Mapping[int, str] = MappingProxyType(
    {
        **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64"},
        **{8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64"},
        **{14: "complex64", 15: "complex128", 16: "bfloat16"},
        **{17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz"},
    }
)
# Runtimes take two of them in a byte, or eight bits of exponent: no array of Python has that form.
_UNCHECKED: Mapping[int, str] = MappingProxyType(
    {21: "uint4", 22: "int4", 23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2"}
)
# A map within a sequence within an optional value, and the tensor type in it.
_DEEPEST = 4
_HINT = "export the model with inputs of another type, or seal it with --format files"


def read_type(view: memoryview, span: Span, name: str, depth: int = _DEEPEST) -> TensorContract:
    """Returns what the type at `span` says of the input `name`.

    Raises:
        MalformedError: not a type.
        UsageError: a type that cannot be checked.
    """
    what = f"input {name!r}"
    if depth == 0:
        raise _unchecked(f"{what} is nested too deep")
    number, inner = _kind(view, span, what)
    if number == _TENSOR:
        return _tensor(view, inner, name)
    if number == _MAP:
        return _map(view, inner, name, depth - 1)
    if number in (_SPARSE_TENSOR, _OPAQUE):
        raise _unchecked(f"{what} is a sparse tensor or an opaque value")
    part = read_type(view, _inside(view, inner, what), name, depth - 1)
    return replace(part, optional=True) if number == _OPTIONAL else _sequence(part, what)


def element_type(number: int, what: str) -> str:
    """Returns the name of an element type of ONNX.

    Raises:
        UsageError: one that cannot be checked.
    """
    if number not in ELEMENT_TYPES:
        raise _unchecked(f"{what} has elements of type {_UNCHECKED.get(number, f'number {number}')}")
    return ELEMENT_TYPES[number]


def _kind(view: memoryview, span: Span, what: str) -> tuple[int, Span]:
    kinds = collect(view, span, (_TENSOR, _SEQUENCE, _MAP, _OPAQUE, _SPARSE_TENSOR, _OPTIONAL))
    found = only([field for fields in kinds.values() for field in fields], f"{what}: type")
    if found is None:
        raise MalformedError(f"ONNX model: {what} has no type")
    return found.number, message(found, what)


def _inside(view: memoryview, span: Span, what: str) -> Span:
    found = only(collect(view, span, (_ELEMENT,))[_ELEMENT], what)
    if found is None:
        raise MalformedError(f"ONNX model: {what} has no type of elements")
    return message(found, what)


def _sequence(part: TensorContract, what: str) -> TensorContract:
    if part.sequence or part.optional:
        raise _unchecked(f"{what} is a sequence of sequences or of optional values")
    return replace(part, sequence=True)


def _map(view: memoryview, span: Span, name: str, depth: int) -> TensorContract:
    what = f"input {name!r}"
    parts = collect(view, span, (_KEY, _VALUE))
    key, value = only(parts[_KEY], what), only(parts[_VALUE], what)
    if key is None or value is None:
        raise MalformedError(f"ONNX model: {what} is a map without a type of keys or values")
    keys = element_type(integer(key, what), what)
    one = read_type(view, message(value, what), name, depth)
    if keys not in ("int64", "string") or one.sequence or one.optional or one.keys is not None:
        raise _unchecked(f"{what} is a map of another kind than from int64 or text to single values")
    return replace(one, keys=keys, shape=())


def _tensor(view: memoryview, span: Span, name: str) -> TensorContract:
    what = f"input {name!r}"
    parts = collect(view, span, (_TENSOR_ELEMENT, _TENSOR_SHAPE))
    element = only(parts[_TENSOR_ELEMENT], what)
    dtype = element_type(0 if element is None else integer(element, what), what)
    return TensorContract(name, dtype, _shape(view, only(parts[_TENSOR_SHAPE], what), what)).with_room()


def _shape(view: memoryview, field: Field | None, what: str) -> tuple[Dimension, ...] | None:
    if field is None:
        return None
    dimensions = collect(view, message(field, what), (_SHAPE_DIMENSION,))[_SHAPE_DIMENSION]
    return tuple(_dimension(view, message(dimension, what), what) for dimension in dimensions)


def _dimension(view: memoryview, span: Span, what: str) -> Dimension:
    parts = collect(view, span, (_DIMENSION_VALUE, _DIMENSION_NAME))
    length = only(parts[_DIMENSION_VALUE], what)
    if length is None:
        return None
    if parts[_DIMENSION_NAME]:
        raise MalformedError(f"ONNX model: {what} has a dimension both named and fixed")
    value = integer(length, what)
    if value > LARGEST_INTEGER:
        raise MalformedError(f"ONNX model: {what} has an impossible dimension")
    # Old exporters write -1 for a free length, and runtimes take every negative one so.
    return value if value >= 0 else None


def _unchecked(problem: str) -> UsageError:
    return UsageError(f"{problem}, which cannot be checked", hint=_HINT)
