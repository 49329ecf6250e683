"""What a file in ONNX Runtime's own format says about its inputs.

Field numbers: ort.fbs of ONNX Runtime. Its element types are those of ONNX.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.contract import KEY_DTYPES, Contract, Dimension, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.flatbuffers import Table, identifier, root
from modelkeep.formats.onnx_types import element_type

IDENTIFIER = b"ORTM"

_SESSION_MODEL = 1
_MODEL_GRAPH = 7
_GRAPH_INITIALIZERS, _GRAPH_VALUES, _GRAPH_INPUTS, _GRAPH_SPARSE = 0, 1, 5, 7
_TENSOR_NAME = 0
_SPARSE_VALUES = 0
_VALUE_NAME, _VALUE_TYPE = 0, 2
_TYPE_KIND, _TYPE_VALUE = 1, 2
_TENSOR, _SEQUENCE, _MAP = 1, 2, 3
_TENSOR_ELEMENT, _TENSOR_SHAPE = 0, 1
_ELEMENT = 0
_MAP_KEY, _MAP_VALUE = 0, 1
_SHAPE_DIMENSIONS = 0
_DIMENSION_VALUE = 0
_LENGTH_KIND, _LENGTH = 0, 1
_FIXED = 1
# A map within a sequence, and the tensor type in it.
_DEEPEST = 3


def read_contract(view: memoryview) -> Contract:
    """Returns what the model in `view` accepts; what has an initializer is an input with a default value.

    Raises:
        MalformedError: not a model of this format, or one that contradicts itself.
        UsageError: an input is of a kind that cannot be checked.
    """
    if identifier(view) != IDENTIFIER:
        raise MalformedError("not a model in ONNX Runtime's format: its identifier is missing")
    graph = _graph(view)
    names = list(graph.texts(_GRAPH_INPUTS))
    if len(set(names)) != len(names) or "" in names:
        raise MalformedError("ORT model: names of inputs are missing, or given twice")
    values = _values(graph, names)
    constants = set(_initializer_names(graph))
    tensors = [_input(values, name) for name in names]
    return Contract(
        tuple(tensor for tensor in tensors if tensor.name not in constants),
        tuple(replace(tensor, optional=True) for tensor in tensors if tensor.name in constants),
    )


def _graph(view: memoryview) -> Table:
    model = root(view).table(_SESSION_MODEL)
    graph = None if model is None else model.table(_MODEL_GRAPH)
    if graph is None:
        raise MalformedError("ORT model: it has no graph")
    return graph


def _values(graph: Table, wanted: Iterable[str]) -> dict[str, Table]:
    names = set(wanted)
    values: dict[str, Table] = {}
    for value in graph.tables(_GRAPH_VALUES):
        name = value.text(_VALUE_NAME)
        if name in names:
            if name in values:
                raise MalformedError(f"ORT model: {name!r} is described twice")
            values[name] = value
    return values


def _initializer_names(graph: Table) -> Iterable[str]:
    for tensor in graph.tables(_GRAPH_INITIALIZERS):
        yield tensor.text(_TENSOR_NAME) or ""
    for sparse in graph.tables(_GRAPH_SPARSE):
        values = sparse.table(_SPARSE_VALUES)
        yield "" if values is None else values.text(_TENSOR_NAME) or ""


def _input(values: dict[str, Table], name: str) -> TensorContract:
    kind = values[name].table(_VALUE_TYPE) if name in values else None
    if kind is None:
        raise MalformedError(f"ORT model: input {name!r} has no type")
    return _read_type(kind, name, _DEEPEST)


def _read_type(kind: Table, name: str, depth: int) -> TensorContract:
    number, value = kind.integer(_TYPE_KIND, "B"), kind.table(_TYPE_VALUE)
    if value is None or depth == 0:
        raise MalformedError(f"ORT model: input {name!r} has no type, or one that is nested too deep")
    if number == _TENSOR:
        return _tensor(value, name)
    if number not in (_SEQUENCE, _MAP):
        raise UsageError(f"input {name!r} is of a kind that cannot be checked")
    inner = value.table(_ELEMENT if number == _SEQUENCE else _MAP_VALUE)
    if inner is None:
        raise MalformedError(f"ORT model: input {name!r} has no type of elements")
    part = _read_type(inner, name, depth - 1)
    return _sequence(part) if number == _SEQUENCE else _map(part, value, name)


def _sequence(part: TensorContract) -> TensorContract:
    if part.sequence:
        raise UsageError(f"input {part.name!r} is a sequence of sequences, which cannot be checked")
    return replace(part, sequence=True)


def _map(one: TensorContract, value: Table, name: str) -> TensorContract:
    keys = element_type(value.integer(_MAP_KEY, "i"), f"input {name!r}")
    if keys not in KEY_DTYPES or one.sequence or one.keys is not None:
        raise UsageError(f"input {name!r} is a map that cannot be checked")
    return replace(one, keys=keys, shape=())


def _tensor(value: Table, name: str) -> TensorContract:
    dtype = element_type(value.integer(_TENSOR_ELEMENT, "i"), f"input {name!r}")
    shape = value.table(_TENSOR_SHAPE)
    lengths = None if shape is None else tuple(_lengths(shape, name))
    return TensorContract(name, dtype, lengths).with_room()


def _lengths(shape: Table, name: str) -> Iterable[Dimension]:
    for dimension in shape.tables(_SHAPE_DIMENSIONS):
        value = dimension.table(_DIMENSION_VALUE)
        length = -1
        if value is not None and value.integer(_LENGTH_KIND, "b") == _FIXED:
            length = value.integer(_LENGTH, "q")
        if length > LARGEST_INTEGER:
            raise MalformedError(f"ORT model: input {name!r} has an impossible dimension")
        yield length if length >= 0 else None
