"""The input contract in JSON. Source: spec/bundle-v1.md, "Input contract"."""

from __future__ import annotations

from typing import Any

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.contract import DTYPES, KEY_DTYPES, Contract, Quantization, TensorContract
from modelkeep.record import Record

MOST_INPUTS = 1024
MOST_DIMENSIONS = 64
_SWITCHES = ("empty", "optional", "sequence")


def contract_to_json(contract: Contract) -> list[dict[str, Any]]:
    """Returns the value of the member ``inputs``."""
    return [_tensor_to_json(tensor) for tensor in contract.inputs]


def read_contract(record: Record) -> Contract | None:
    """Takes the member ``inputs``, if it is there.

    Raises:
        MalformedError: not of this form.
    """
    if "inputs" not in record:
        return None
    inputs = tuple(_tensor(item) for item in record.items("inputs", longest=MOST_INPUTS))
    if len({tensor.name for tensor in inputs}) != len(inputs):
        raise record.fault("inputs", "names an input twice")
    return Contract(inputs)


def _tensor_to_json(tensor: TensorContract) -> dict[str, Any]:
    value: dict[str, Any] = {
        "dtype": tensor.dtype,
        "finite": tensor.finite,
        "maximum_bytes": tensor.maximum_bytes,
        "name": tensor.name,
        "shape": None if tensor.shape is None else list(tensor.shape),
    }
    if tensor.minimum is not None:
        value["minimum"] = tensor.minimum.hex()
    if tensor.maximum is not None:
        value["maximum"] = tensor.maximum.hex()
    value |= {switch: True for switch in _SWITCHES if getattr(tensor, switch)}
    if tensor.keys is not None:
        value["keys"] = tensor.keys
    if tensor.quantization is not None:
        value["quantization"] = {
            "scale": tensor.quantization.scale.hex(),
            "zero_point": tensor.quantization.zero_point,
        }
    return value


def _tensor(item: object) -> TensorContract:
    with Record(item, "inner manifest: input") as record:
        return TensorContract(
            name=record.text("name"),
            dtype=record.choice("dtype", {name: name for name in DTYPES}),
            shape=_shape(record),
            finite=record.boolean("finite"),
            minimum=read_float(record, "minimum"),
            maximum=read_float(record, "maximum"),
            maximum_bytes=record.integer("maximum_bytes"),
            **{switch: record.switch(switch) for switch in _SWITCHES},
            keys=record.choice("keys", {name: name for name in KEY_DTYPES}) if "keys" in record else None,
            quantization=_quantization(record),
        )


def _quantization(record: Record) -> Quantization | None:
    if "quantization" not in record:
        return None
    with record.object("quantization") as inner:
        scale = read_float(inner, "scale")
        zero_point = inner.integer("zero_point", lowest=-LARGEST_INTEGER, highest=LARGEST_INTEGER)
    if scale is None:
        raise record.fault("quantization", "has no scale")
    return Quantization(scale, zero_point)


def _shape(record: Record) -> tuple[int | None, ...] | None:
    value = record.anything("shape")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        raise record.fault("shape", "must be null or an array")
    if not all(_is_dimension(dimension) for dimension in value):
        raise record.fault("shape", "must hold nulls and integers that are not negative")
    return tuple(value)


def _is_dimension(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def read_float(record: Record, name: str) -> float | None:
    """Takes a hexadecimal float, if it is there.

    Raises:
        MalformedError: not a finite float in its one spelling.
    """
    if name not in record:
        return None
    text = record.text(name, longest=64)
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        raise record.fault(name, "is not a hexadecimal float") from None
    # Equality of the texts leaves one spelling per value and refuses NaN and infinities.
    if value.hex() != text or value - value != 0:
        raise record.fault(name, "is not a finite float in canonical hexadecimal form")
    return value
