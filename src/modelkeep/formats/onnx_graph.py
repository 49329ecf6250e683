"""What an ONNX file says about itself: its inputs and the other files it needs.

Reads the protobuf in place, without the onnx package and without copying weights. Field numbers:
onnx.proto of the ONNX specification.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.onnx_types import read_type
from modelkeep.formats.protobuf import Field, Span, collect, fields, integer, message, only, singles, text

DEEPEST_NESTING = 100  # messages within messages, protobuf's own default limit

_MODEL_IR_VERSION, _MODEL_GRAPH = 1, 7
_MODEL_FIELDS = frozenset({*range(1, 9), 14, 20, 25, 26})
# Before it, whatever has an initializer is a constant; since then, an input with a default value.
_FIRST_IR_WITH_DEFAULTS = 4
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE_INITIALIZER = 5, 11, 15
INITIALIZERS = (_GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER)
_SPARSE_VALUES = 1
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 8, 13, 14
_INTERNAL, _EXTERNAL = 0, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 2, 4, 5, 7
_ONCE_IN_CONSTANTS = (_NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE)
# Besides these, the node's own name, documentation and metadata, and an empty domain.
_ALSO_IN_CONSTANTS = frozenset({_NODE_DOMAIN, 3, 6, 9})
# Name, tensor and type of an attribute, which has all three and nothing else.
_OF_TENSOR_ATTRIBUTES = (1, 5, 20)
_TENSOR_KIND = 4

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


def is_model(view: memoryview) -> bool:
    """Returns whether the bytes read as an ONNX model: known fields alone, of which one is a graph."""
    try:
        numbers = {field.number for field in fields(view, 0, len(view))}
        return numbers <= _MODEL_FIELDS and any(True for _ in fields(view, *main_graph(view)))
    except MalformedError:
        return False


def read_contract(view: memoryview) -> Contract:
    """Returns what the model in `view` accepts, in the order in which the model lists its inputs.

    Inputs that have an initializer are constants of the model, or from IR version 4 on inputs with a default
    value. Dimensions that are unnamed, named or negative are free.

    Raises:
        MalformedError: not an ONNX model, or one that contradicts itself.
        UsageError: an input is of a kind that cannot be checked.
    """
    graph = collect(view, main_graph(view), (*INITIALIZERS, _GRAPH_INPUT))
    values = _named_inputs(view, graph[_GRAPH_INPUT])
    constants = initializer_names(view, graph)
    inputs = tuple(
        _input_contract(view, span, name) for name, span in values.items() if name not in constants
    )
    if _ir_version(view) < _FIRST_IR_WITH_DEFAULTS:
        return Contract(inputs)
    replaceable = {name: span for name, span in values.items() if name in constants}
    return Contract(inputs, tuple(_defaults(view, replaceable)))


def _named_inputs(view: memoryview, inputs: Iterable[Field]) -> dict[str, Span]:
    values: dict[str, Span] = {}
    for field in inputs:
        span = message(field, "input")
        name = _text_of(view, span, _VALUE_NAME, "input name")
        if not name or name in values:
            raise MalformedError(f"ONNX model: input name {name!r} is empty or taken")
        values[name] = span
    return values


def initializer_names(view: memoryview, graph: Mapping[int, list[Field]]) -> set[str]:
    """Returns the names of the constants of a graph, given by its fields `INITIALIZERS`."""
    tensors = [message(field, "initializer") for field in graph[_GRAPH_INITIALIZER]]
    tensors += [_sparse_values(view, field) for field in graph[_GRAPH_SPARSE_INITIALIZER]]
    return {_text_of(view, tensor, _TENSOR_NAME, "initializer name") for tensor in tensors}


def _ir_version(view: memoryview) -> int:
    field = only(collect(view, (0, len(view)), (_MODEL_IR_VERSION,))[_MODEL_IR_VERSION], "IR version")
    return 0 if field is None else integer(field, "IR version")


def _input_contract(view: memoryview, span: Span, name: str) -> TensorContract:
    what = f"input {name!r}"
    kind = only(collect(view, span, (_VALUE_TYPE,))[_VALUE_TYPE], f"{what}: type")
    if kind is None:
        raise MalformedError(f"ONNX model: {what} has no type")
    return read_type(view, message(kind, what), name)


def _defaults(view: memoryview, values: Mapping[str, Span]) -> Iterator[TensorContract]:
    for name, span in values.items():
        # What cannot be described cannot be let in; the model has its own value all the same.
        with suppress(MalformedError, UsageError):
            yield replace(_input_contract(view, span, name), optional=True)


def input_names(view: memoryview) -> frozenset[str]:
    """Returns the names of all inputs of the main graph of an ONNX model, also of those with a default value.

    Raises:
        MalformedError: not an ONNX model.
    """
    return frozenset(_named_inputs(view, collect(view, main_graph(view), (_GRAPH_INPUT,))[_GRAPH_INPUT]))


def external_files(view: memoryview) -> tuple[str, ...]:
    """Returns the locations of the files that hold tensors of the model in `view`, sorted.

    A location is relative to the folder of the model; `external_path` resolves it.

    Raises:
        MalformedError: not an ONNX model, or a location that leaves the model's folder.
        UsageError: a tensor that is not an initializer of the main graph lies in another file.
            Runtimes fetch such a tensor from the disk, by a path relative to the working directory.
    """
    initializers = collect(view, main_graph(view), (_GRAPH_INITIALIZER,))[_GRAPH_INITIALIZER]
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


class ConstantNode(NamedTuple):
    """A node that computes nothing: it gives one tensor a name.

    Attributes:
        output: the name, encoded.
        tensor: where the tensor lies.
    """

    output: bytes
    tensor: Span


def read_constant(view: memoryview, node: Span) -> ConstantNode | None:
    """Returns the node at a place in the view if it is a constant of one tensor and nothing else.

    Raises:
        MalformedError: not a message.
    """
    parts = list(fields(view, *node))
    found = singles(parts, _ONCE_IN_CONSTANTS, _ALSO_IN_CONSTANTS)
    if found is None or any(part.number == _NODE_DOMAIN and _content(view, part) for part in parts):
        return None
    output = _content(view, found[_NODE_OUTPUT])
    if not output or _content(view, found[_NODE_OPERATOR]) != b"Constant":
        return None
    tensor = _tensor_attribute(view, message(found[_NODE_ATTRIBUTE], "attribute"))
    return None if tensor is None else ConstantNode(output, tensor)


def _tensor_attribute(view: memoryview, span: Span) -> Span | None:
    found = singles(fields(view, *span), _OF_TENSOR_ATTRIBUTES)
    if found is None:
        return None
    name, tensor, kind = (found[number] for number in _OF_TENSOR_ATTRIBUTES)
    if _content(view, name) != b"value" or integer(kind, "attribute type") != _TENSOR_KIND:
        return None
    return message(tensor, "constant")


def _content(view: memoryview, field: Field) -> bytes:
    start, end = message(field, "text")
    return bytes(view[start:end])


def external_path(entry: str, location: str) -> str:
    """Returns the path inside the bundle of the external data of the model file `entry`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(entry), location))


def main_graph(view: memoryview) -> Span:
    """Returns where the main graph of an ONNX model lies.

    Raises:
        MalformedError: not an ONNX model.
    """
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
