"""What an ExecuTorch file says about its inputs, one contract for each of its methods.

Inputs have no names there: they are called ``input_0``, ``input_1`` and so on, in the order of the method's
arguments. Field numbers and element types: program.fbs and scalar_type.fbs of ExecuTorch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.contract import DTYPES, Contract, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.flatbuffers import Table, Tables, identifier, root

IDENTIFIER = b"ET12"
DEFAULT_METHOD = "forward"

_PROGRAM_METHODS = 1
_METHOD_NAME, _METHOD_VALUES, _METHOD_INPUTS, _METHOD_OUTPUTS, _METHOD_DELEGATES = 0, 2, 3, 4, 7
_DELEGATE_BACKEND = 0
_VALUE_KIND, _VALUE = 0, 1
_TENSOR = 5
_TENSOR_TYPE, _TENSOR_SIZES, _TENSOR_ORDER, _TENSOR_DYNAMISM, _TENSOR_EXTRA = 0, 2, 3, 8, 9
_STATIC, _BOUNDED, _UNBOUNDED = 0, 1, 2
_EXTRA_LOCATION = 2
_EXTERNAL = 1

# As many entries as a bundle can have; each may look at all values of the file.
_MOST_METHODS = 256

_ELEMENT_TYPES: Mapping[int, str] = MappingProxyType(
    {
        **{0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32"},
        **{7: "float64", 11: "bool", 15: "bfloat16", 27: "uint16", 28: "uint32", 29: "uint64"},
    }
)


class Method(NamedTuple):
    """What the file says of one of its methods.

    Attributes:
        contract: what it accepts.
        orders: for each input, its dimensions from the outermost in memory to the innermost.
        outputs: how many values it gives.
        backends: what computes parts of it, by ExecuTorch's names.
    """

    contract: Contract
    orders: tuple[tuple[int, ...], ...]
    outputs: int
    backends: frozenset[str]


def read_methods(view: memoryview) -> dict[str, Method]:
    """Returns what the file says of each of its methods, by name.

    Raises:
        MalformedError: not an ExecuTorch program, or one that contradicts itself.
        UsageError: an input is of a kind that cannot be checked, or weights are in other files.
    """
    if identifier(view) != IDENTIFIER:
        raise MalformedError("not an ExecuTorch program: its identifier is missing")
    methods: dict[str, Method] = {}
    plans = root(view).tables(_PROGRAM_METHODS)
    if not 1 <= len(plans) <= _MOST_METHODS:
        raise MalformedError(f"ExecuTorch program: it has {len(plans) or 'no'} methods")
    for plan in plans:
        name = plan.text(_METHOD_NAME) or ""
        if not name or name in methods:
            raise MalformedError(f"ExecuTorch program: method name {name!r} is empty or taken")
        methods[name] = _method(plan)
    return methods


def default_method(methods: Mapping[str, object]) -> str:
    """Returns the method that is run where nobody says which: ``forward``, or the first."""
    return DEFAULT_METHOD if DEFAULT_METHOD in methods else next(iter(methods))


def _method(plan: Table) -> Method:
    values = plan.tables(_METHOD_VALUES)
    _refuse_external(values)
    indexes = plan.integers(_METHOD_INPUTS, "i")
    inputs = [_input(f"input_{place}", values, index) for place, index in enumerate(indexes)]
    return Method(
        Contract(tuple(_contract(name, tensor) for name, tensor in inputs)),
        tuple(_order(name, tensor) for name, tensor in inputs),
        len(plan.integers(_METHOD_OUTPUTS, "i")),
        frozenset(each.text(_DELEGATE_BACKEND) or "" for each in plan.tables(_METHOD_DELEGATES)),
    )


def _refuse_external(values: Tables) -> None:
    for value in values:
        tensor = _tensor(value)
        extra = None if tensor is None else tensor.table(_TENSOR_EXTRA)
        if extra is not None and extra.integer(_EXTRA_LOCATION, "b") == _EXTERNAL:
            raise UsageError(
                "the program keeps weights in other files, which ExecuTorch reads from disks alone",
                hint="export it again with its weights inside",
            )


def _tensor(value: Table) -> Table | None:
    return value.table(_VALUE) if value.integer(_VALUE_KIND, "B") == _TENSOR else None


def _input(name: str, values: Tables, index: int) -> tuple[str, Table]:
    tensor = _tensor(values[index])
    if tensor is None:
        raise UsageError(
            f"{name} is not a tensor, which cannot be checked",
            hint="export the model with tensors alone as inputs, or seal it with --format files",
        )
    return name, tensor


def _contract(name: str, tensor: Table) -> TensorContract:
    number = tensor.integer(_TENSOR_TYPE, "b")
    if number not in _ELEMENT_TYPES:
        raise UsageError(
            f"{name} has elements of type number {number}, which cannot be checked",
            hint="export the model with inputs of another type, or seal it with --format files",
        )
    dtype, sizes = _ELEMENT_TYPES[number], tensor.integers(_TENSOR_SIZES, "i")
    dynamism = tensor.integer(_TENSOR_DYNAMISM, "b")
    if min(sizes, default=0) < 0 or dynamism not in (_STATIC, _BOUNDED, _UNBOUNDED):
        raise MalformedError(f"ExecuTorch program: {name} has an impossible shape")
    if dynamism == _STATIC:
        return TensorContract(name, dtype, sizes).with_room()
    # Which of the lengths are free, the file does not say; of bounded ones, what they may come to together.
    free = TensorContract(name, dtype, (None,) * len(sizes))
    return free if dynamism == _UNBOUNDED else _bounded(free, sizes)


def _bounded(free: TensorContract, sizes: tuple[int, ...]) -> TensorContract:
    most = max(math.prod(sizes), 1) * DTYPES[free.dtype]
    if most > LARGEST_INTEGER:
        raise MalformedError(f"ExecuTorch program: {free.name} is impossibly large")
    return TensorContract(free.name, free.dtype, free.shape, maximum_bytes=most)


def _order(name: str, tensor: Table) -> tuple[int, ...]:
    rank = len(tensor.integers(_TENSOR_SIZES, "i"))
    order = tensor.integers(_TENSOR_ORDER, "B") or tuple(range(rank))
    if sorted(order) != list(range(rank)):
        raise MalformedError(f"ExecuTorch program: {name} has an impossible order of dimensions")
    return order
