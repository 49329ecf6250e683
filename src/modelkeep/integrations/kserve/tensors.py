"""KServe's V2 protocol, the open inference protocol: tensors with names, types and shapes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import UsageError
from modelkeep.integrations.kserve.rows import in_json
from modelkeep.integrations.named_inputs import array_of
from modelkeep.integrations.named_outputs import check_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {
    "BOOL": "bool",
    **{f"{sign}INT{bits}": f"{sign}int{bits}".lower() for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BYTES": "string",
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def inputs_of(request: InferRequest) -> dict[str, NDArray[Any]]:
    """Returns arrays by name out of a request.

    Raises:
        UsageError: a tensor is not what its type and shape say, or there are two of one name.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for tensor in request.inputs:
        if tensor.name in arrays:
            raise UsageError(f"there are two inputs {tensor.name!r}", hint="name each once")
        arrays[tensor.name] = _array(tensor.name, tensor.datatype, tensor.shape, tensor.data)
    return arrays


def _array(name: str, datatype: str, shape: Sequence[Any], data: Any) -> NDArray[Any]:
    if datatype not in _DTYPES:
        raise UsageError(f"input {name!r}: datatype {datatype!r} is not one of {', '.join(_DTYPES)}")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise UsageError(f"input {name!r}: a shape has lengths", hint="give integers from 0 on")
    array = array_of(name, data, _DTYPES[datatype])
    try:
        return array.reshape(shape)
    except ValueError:
        raise UsageError(
            f"input {name!r}: {array.size} elements are not those of its shape",
            hint="send as many as its lengths multiply to",
        ) from None


def answer_of(name: str, request: InferRequest, outputs: Mapping[str, Any]) -> InferResponse:
    """Returns the answer of the model `name`, with the outputs that were asked for, or all.

    Raises:
        UsageError: an output that there is not, or twice, or that the protocol has no form for.
    """
    asked = request.request_outputs or ()
    names = [each.name for each in asked]
    # A short request would have an answer without end.
    if len(set(names)) != len(names):
        raise UsageError("an output is asked for twice", hint="name each once")
    check_outputs(names, outputs)
    binary = {each.name for each in asked if each.binary_data}
    if not asked and request.use_binary_outputs:
        binary = set(outputs)
    return InferResponse(
        response_id=request.id or str(uuid.uuid4()),
        model_name=name,
        infer_outputs=[_output(each, outputs[each], each in binary) for each in names or outputs],
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def _output(name: str, value: Any, binary: bool) -> InferOutput:
    known = isinstance(value, np.ndarray) and ("string" if value.dtype.kind in "OUS" else value.dtype.name)
    if known not in _NAMES:
        raise UsageError(
            f"output {name!r} has no form in this protocol", hint="ask for other outputs by name"
        )
    if not binary:
        in_json(name, value)
    return InferOutput(name=name, shape=list(value.shape), datatype=_NAMES[known], data=value)


def described(contract: Contract | None) -> list[dict[str, Any]]:
    """Returns the inputs as the protocol describes them; -1 is a length that is free."""
    return [_described(tensor) for tensor in (contract.inputs if contract else ())]


def _described(tensor: TensorContract) -> dict[str, Any]:
    shape = [-1 if length is None else length for length in tensor.shape or (None,)]
    return {"name": tensor.name, "datatype": _NAMES.get(tensor.dtype, tensor.dtype.upper()), "shape": shape}
