"""What an ONNX file says about itself: its inputs and the other files it needs.

Reads the protobuf in place, without the onnx package and without copying weights. Field numbers
and element types: onnx.proto of the ONNX specification.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.contract import DEFAULT_MAXIMUM_BYTES, Contract, Dimension, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.protobuf import Field, Span, collect, integer, message, only, text

DEEPEST_NESTING = 100  # messages within messages, protobuf's own default limit

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE_INITIALIZER = 5, 11, 15
_SPARSE_VALUES = 1
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 8, 13, 14
_INTERNAL, _EXTERNAL = 0, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 2
_SHAPE_DIMENSION = 1
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2

_ELEMENT_TYPES = MappingProxyType(
    {
        1: "float32",
        2: "uint8",
        3: "int8",
        4: "uint16",
        5: "int16",
        6: "int32",
        7: "int64",
        8: "string",
        9: "bool",
        10: "float16",
        11: "float64",
        12: "uint32",
        13: "uint64",
        14: "complex64",
        15: "complex128",
        16: "bfloat16",
    }
)

# Which fields of a message lead to tensors, and the kind of message that lies there.
_TOWARDS_TENSORS: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "model": {_MODEL_GRAPH: "graph", 20: "training", 25: "function"},
        "graph": {1: "node", _GRAPH_INITIALIZER: "tensor", _GRAPH_SPARSE_INITIALIZER: "sparse tensor"},
        "node": {5: "attribute"},
        "attribute": {
            **{5: "tensor", 6: "graph", 10: "tensor"},
            **{11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
        },
        "sparse tensor": {_SPARSE_VALUES: "tensor", 2: "tensor"},
        "function": {7: "node", 11: "attribute"},
        "training": {1: "graph", 2: "graph"},
    }
)


def is_onnx(name: str) -> bool:
    """Returns whether a file of this name is taken for an ONNX model; `read_contract` finds out."""
    return name.lower().endswith(".onnx")


def read_contract(view: memoryview) -> Contract:
    """Returns what the model in `view` accepts, in the order in which the model lists its inputs.

    Inputs that have an initializer are constants of the model and left out. Dimensions that are
    unnamed, named or 0 are free.

    Raises:
        MalformedError: not an ONNX model, or one that contradicts itself.
        UsageError: an input is of a kind that cannot be checked.
    """
    graph = collect(view, _main_graph(view), (_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE_INITIALIZER))
    tensors = [message(field, "initializer") for field in graph[_GRAPH_INITIALIZER]]
    tensors += [_sparse_values(view, field) for field in graph[_GRAPH_SPARSE_INITIALIZER]]
    constants = {_text_of(view, tensor, _TENSOR_NAME, "initializer name") for tensor in tensors}
    names: set[str] = set()
    inputs = []
    for field in graph[_GRAPH_INPUT]:
        span = message(field, "input")
        name = _text_of(view, span, _VALUE_NAME, "input name")
        if not name or name in names:
            raise MalformedError(f"ONNX model: input name {name!r} is empty or taken")
        names.add(name)
        if name not in constants:
            inputs.append(_tensor_contract(view, span, name))
    return Contract(tuple(inputs))


def external_files(view: memoryview) -> tuple[str, ...]:
    """Returns the locations of the files that hold tensors of the model in `view`, sorted.

    A location is relative to the folder of the model; `external_path` resolves it.

    Raises:
        MalformedError: not an ONNX model, or a location that leaves the model's folder.
        UsageError: a tensor that is not an initializer of the main graph lies in another file.
            Runtimes fetch such a tensor from the disk, by a path relative to the working directory.
    """
    initializers = collect(view, _main_graph(view), (_GRAPH_INITIALIZER,))[_GRAPH_INITIALIZER]
    replaceable = {field.span for field in initializers}
    locations = set()
    for span in _tensors(view, (0, len(view)), "model", DEEPEST_NESTING):
        location = _external_location(view, span)
        if location is None:
            continue
        if span not in replaceable:
            raise UsageError(
                "the model keeps a tensor of a node, subgraph or function in another file",
                hint="save it again with external data for initializers of the main graph only",
            )
        locations.add(location)
    return tuple(sorted(locations))


def external_path(entry: str, location: str) -> str:
    """Returns the path inside the bundle of the external data of the model file `entry`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(entry), location))


def _main_graph(view: memoryview) -> Span:
    graph = only(collect(view, (0, len(view)), (_MODEL_GRAPH,))[_MODEL_GRAPH], "ONNX model: graph")
    if graph is None:
        raise MalformedError("not an ONNX model: it has no graph")
    return message(graph, "ONNX model: graph")


def _sparse_values(view: memoryview, field: Field) -> Span:
    values = only(
        collect(view, message(field, "sparse initializer"), (_SPARSE_VALUES,))[_SPARSE_VALUES],
        "sparse initializer: values",
    )
    if values is None:
        raise MalformedError("ONNX model: a sparse initializer without values")
    return message(values, "sparse initializer: values")


def _text_of(view: memoryview, span: Span, number: int, what: str) -> str:
    field = only(collect(view, span, (number,))[number], what)
    return "" if field is None else text(view, field, what)


def _tensor_contract(view: memoryview, span: Span, name: str) -> TensorContract:
    what = f"input {name!r}"
    kind = only(collect(view, span, (_VALUE_TYPE,))[_VALUE_TYPE], f"{what}: type")
    if kind is None:
        raise MalformedError(f"ONNX model: {what} has no type")
    tensor_type = only(collect(view, message(kind, what), (_TYPE_TENSOR,))[_TYPE_TENSOR], what)
    if tensor_type is None:
        raise UsageError(
            f"{what} is not a tensor",
            hint="export the model with dense tensor inputs; sequences, maps and optionals cannot be checked",
        )
    parts = collect(view, message(tensor_type, what), (_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE))
    dtype = _dtype(only(parts[_TENSOR_TYPE_ELEMENT], what), what)
    shape = _shape(view, only(parts[_TENSOR_TYPE_SHAPE], what), what)
    return _with_room(TensorContract(name, dtype, shape))


def _dtype(field: Field | None, what: str) -> str:
    number = 0 if field is None else integer(field, what)
    if number not in _ELEMENT_TYPES:
        raise UsageError(
            f"{what} has ONNX element type {number}, which cannot be checked",
            hint="export the model with inputs of a NumPy element type",
        )
    return _ELEMENT_TYPES[number]


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
    if not 0 <= value <= LARGEST_INTEGER:
        raise MalformedError(f"ONNX model: {what} has an impossible dimension")
    return value or None


def _with_room(tensor: TensorContract) -> TensorContract:
    """Raises the size limit of a tensor whose fixed dimensions alone exceed it."""
    smallest = tensor.smallest_bytes
    if smallest > LARGEST_INTEGER:
        raise MalformedError(f"ONNX model: input {tensor.name!r} is impossibly large")
    if smallest <= DEFAULT_MAXIMUM_BYTES:
        return tensor
    return tensor.tighten({"maximum_bytes": smallest})


def _tensors(view: memoryview, span: Span, kind: str, depth: int) -> Iterator[Span]:
    if kind == "tensor":
        yield span
        return
    if depth == 0:
        raise MalformedError("ONNX model: nested too deep")
    children = _TOWARDS_TENSORS[kind]
    for number, found in collect(view, span, children).items():
        for field in found:
            yield from _tensors(view, message(field, kind), children[number], depth - 1)


def _external_location(view: memoryview, tensor: Span) -> str | None:
    parts = collect(view, tensor, (_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION))
    place = only(parts[_TENSOR_DATA_LOCATION], "tensor data location")
    if place is None or not _is_external(place):
        return None
    entries = [message(entry, "external data") for entry in parts[_TENSOR_EXTERNAL_DATA]]
    locations = [
        _text_of(view, entry, _ENTRY_VALUE, "external data")
        for entry in entries
        if _text_of(view, entry, _ENTRY_KEY, "external data") == "location"
    ]
    if len(locations) != 1:
        raise MalformedError("ONNX model: external data without exactly one location")
    return _contained(locations[0])


def _is_external(place: Field) -> bool:
    number = integer(place, "tensor data location")
    # Parsers keep 32 bits of an enumeration: what is more than that to us may be 1 to them.
    if number not in (_INTERNAL, _EXTERNAL):
        raise MalformedError(f"ONNX model: {number} is not a place where tensors lie")
    return number == _EXTERNAL


def _contained(location: str) -> str:
    parts = location.split("/")
    if not location or location.startswith("/") or ".." in parts or "\0" in location or "\\" in location:
        raise MalformedError(f"ONNX model: external data leaves the model's folder: {location!r}")
    # ONNX Runtime names memory that way, with the address as offset.
    if parts[0] == "*":
        raise MalformedError(f"ONNX model: external data that is not a file: {location!r}")
    return location
