"""What a TFLite file says about its inputs, one contract for each of its functions.

TFLite calls such a function a signature. Field numbers and element types: schema.fbs of TensorFlow Lite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from modelkeep.contract import Contract, Dimension, Quantization, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.flatbuffers import Table, Tables, identifier, root

IDENTIFIER = b"TFL3"
DEFAULT_FUNCTION = "serving_default"

_MODEL_SUBGRAPHS, _MODEL_FUNCTIONS, _MODEL_EXTERNAL_GROUPS = 2, 7, 8
_SUBGRAPH_TENSORS, _SUBGRAPH_INPUTS = 0, 1
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_QUANTIZATION, _TENSOR_FREE_SHAPE = 0, 1, 3, 4, 7
_FUNCTION_INPUTS, _FUNCTION_NAME, _FUNCTION_SUBGRAPH = 0, 2, 4
_MAP_NAME, _MAP_TENSOR = 0, 1
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = 2, 3

_ELEMENT_TYPES: Mapping[int, str] = MappingProxyType(
    {
        **{0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool"},
        **{7: "int16", 8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64"},
        **{15: "uint32", 16: "uint16", 18: "bfloat16", 21: "float8_e4m3fn", 22: "float8_e5m2"},
    }
)
_UNCHECKED: Mapping[int, str] = MappingProxyType(
    {13: "resource", 14: "variant", 17: "int4", 19: "int2", 20: "uint4"}
)


def read_contracts(view: memoryview) -> dict[str | None, Contract]:
    """Returns what each function of the model in `view` accepts, by the function's name.

    A model without named functions has one, called None; its inputs are named as its tensors are.

    Raises:
        MalformedError: not a TFLite model, or one that contradicts itself.
        UsageError: an input is of a kind that cannot be checked, or weights are in other files.
    """
    if identifier(view) != IDENTIFIER:
        raise MalformedError("not a TFLite model: its identifier is missing")
    model = root(view)
    if len(model.tables(_MODEL_EXTERNAL_GROUPS)):
        raise UsageError(
            "the model keeps weights in other files, which LiteRT reads from disks alone",
            hint="convert it again with its weights inside",
        )
    subgraphs, functions = model.tables(_MODEL_SUBGRAPHS), model.tables(_MODEL_FUNCTIONS)
    if not len(functions):
        return {None: _tensors_contract(subgraphs[0])}
    return _functions(functions, subgraphs)


def _functions(functions: Tables, subgraphs: Tables) -> dict[str | None, Contract]:
    contracts: dict[str | None, Contract] = {}
    for function in functions:
        name = function.text(_FUNCTION_NAME) or ""
        if name in contracts:
            raise MalformedError(f"TFLite model: two of its signatures are called {name!r}")
        subgraph = subgraphs[function.integer(_FUNCTION_SUBGRAPH, "I")]
        contracts[name] = _function_contract(function, subgraph)
    return contracts


def default_function(contracts: Mapping[str | None, Contract]) -> str | None:
    """Returns the function that is run where nobody says which: the one of the default name, or the first."""
    return DEFAULT_FUNCTION if DEFAULT_FUNCTION in contracts else next(iter(contracts))


def _tensors_contract(subgraph: Table) -> Contract:
    tensors = subgraph.tables(_SUBGRAPH_TENSORS)
    indexes = subgraph.integers(_SUBGRAPH_INPUTS, "i")
    return _contract((tensors[index].text(_TENSOR_NAME) or "", tensors[index]) for index in indexes)


def _function_contract(function: Table, subgraph: Table) -> Contract:
    tensors = subgraph.tables(_SUBGRAPH_TENSORS)
    inputs = set(subgraph.integers(_SUBGRAPH_INPUTS, "i"))
    named = []
    for entry in function.tables(_FUNCTION_INPUTS):
        index = entry.integer(_MAP_TENSOR, "I")
        if index not in inputs:
            raise MalformedError("TFLite model: a signature names an input that is none")
        named.append((entry.text(_MAP_NAME) or "", tensors[index]))
    return _contract(named)


def _contract(named: Iterable[tuple[str, Table]]) -> Contract:
    inputs = tuple(_tensor_contract(name, tensor) for name, tensor in named)
    names = {tensor.name for tensor in inputs}
    if len(names) != len(inputs) or "" in names:
        raise MalformedError("TFLite model: names of inputs are missing, or given twice")
    return Contract(inputs)


def _tensor_contract(name: str, tensor: Table) -> TensorContract:
    number = tensor.integer(_TENSOR_TYPE, "b")
    if number not in _ELEMENT_TYPES:
        raise UsageError(
            f"input {name!r} has elements of type {_UNCHECKED.get(number, f'number {number}')}, "
            "which cannot be checked",
            hint="export the model with inputs of another type, or seal it with --format files",
        )
    shape = _shape(name, tensor)
    quantization = _quantization(tensor.table(_TENSOR_QUANTIZATION))
    return TensorContract(name, _ELEMENT_TYPES[number], shape, quantization=quantization).with_room()


def _shape(name: str, tensor: Table) -> tuple[Dimension, ...]:
    fixed, free = tensor.integers(_TENSOR_SHAPE, "i"), tensor.integers(_TENSOR_FREE_SHAPE, "i")
    # The shape alone says 1 where a length is free; the other one is left out where none is.
    lengths: Sequence[int] = free if len(free) == len(fixed) else fixed
    if any(length < -1 for length in lengths):
        raise MalformedError(f"TFLite model: input {name!r} has an impossible dimension")
    return tuple(None if length < 0 else length for length in lengths)


def _quantization(parameters: Table | None) -> Quantization | None:
    if parameters is None:
        return None
    scales = parameters.scalars(_QUANTIZATION_SCALE, "f")
    zero_points = parameters.integers(_QUANTIZATION_ZERO_POINT, "q")
    # One of each for the whole tensor; inputs have no others.
    if len(scales) != 1 or len(zero_points) != 1 or not 0 < scales[0] < float("inf"):
        return None
    return Quantization(scales[0], zero_points[0])
