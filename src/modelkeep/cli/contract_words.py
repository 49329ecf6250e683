"""What a model takes, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from modelkeep.contract import TensorContract
from modelkeep.inner_manifest import Entry


def entries_in_words(entries: Iterable[Entry]) -> Iterator[str]:
    """Yields a line for each input; where there are several entries, a line with the name of each first."""
    every = tuple(entries)
    for entry in every:
        if len(every) > 1:
            yield f"entry {entry.name} ({entry.format})"
        if entry.contract is None:
            yield f"inputs are not checked: neither {entry.format} files nor the publisher describe them"
            continue
        for tensor in entry.contract.inputs:
            yield f"input {tensor.name}: {in_words(tensor)}"


def in_words(tensor: TensorContract) -> str:
    """Returns what an input must look like, for example ``float32 (any, 3), finite, from 0 to 1``."""
    return ", ".join([_form(tensor), *_limits(tensor)])


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Returns an entry and what it takes; null where nobody says that."""
    inputs = None if entry.contract is None else {each.name: to_json(each) for each in entry.contract.inputs}
    return {"name": entry.name, "format": entry.format, "inputs": inputs}


def to_json(tensor: TensorContract) -> dict[str, Any]:
    """Returns what an input must look like, with floats as numbers."""
    value: dict[str, Any] = {
        "dtype": tensor.dtype,
        "shape": None if tensor.shape is None else list(tensor.shape),
        "finite": tensor.finite,
        "empty": tensor.may_be_empty,
        "optional": tensor.optional,
        "sequence": tensor.sequence,
        "keys": tensor.keys,
        "minimum": tensor.minimum,
        "maximum": tensor.maximum,
        "maximum_bytes": tensor.maximum_bytes,
    }
    if tensor.quantization is not None:
        value["quantization"] = {
            "scale": tensor.quantization.scale,
            "zero_point": tensor.quantization.zero_point,
        }
    return value


def _form(tensor: TensorContract) -> str:
    one = f"map from {tensor.keys} to {tensor.dtype}" if tensor.keys else f"{tensor.dtype} {_shape(tensor)}"
    return f"list of {one}" if tensor.sequence else one


def _shape(tensor: TensorContract) -> str:
    if tensor.shape is None:
        return "of any shape"
    return f"({', '.join('any' if length is None else str(length) for length in tensor.shape)})"


def _limits(tensor: TensorContract) -> Iterator[str]:
    if tensor.optional:
        yield "may be left out"
    if not tensor.finite:
        yield "NaN and infinities pass"
    if tensor.empty:
        yield "may be empty"
    if tensor.minimum is not None:
        yield f"from {tensor.minimum:g}"
    if tensor.maximum is not None:
        yield f"up to {tensor.maximum:g}"
    yield f"at most {tensor.maximum_bytes} bytes"
    if tensor.quantization is not None:
        yield f"quantized: {tensor.quantization.scale:g} * (x - {tensor.quantization.zero_point})"
