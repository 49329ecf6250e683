"""Whether sequences and maps keep the contract of their input.

A sequence is a plain list of parts. A map is a plain dict, its keys and values plain Python objects, which is
what runtimes take and give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from modelkeep.canonical import is_text
from modelkeep.contract import INTEGER_DTYPES, TensorContract
from modelkeep.finding import Finding
from modelkeep.guard.array_check import array_fault, number_fault, size_fault
from modelkeep.guard.words import kind

_KEY_BYTES = 8


def sequence_fault(tensor: TensorContract, value: object) -> Finding | None:
    """Returns the first thing that is wrong with a list and its parts, or None."""
    if type(value) is not list:
        return Finding("type", tensor.name, "a plain list", kind(value))
    if not value and not tensor.empty:
        return Finding("shape", tensor.name, "at least one part", "an empty list")
    left = tensor.maximum_bytes
    for place, part in enumerate(value):
        each = replace(tensor, name=f"{tensor.name}[{place}]", sequence=False, maximum_bytes=max(left, 0))
        fault = map_fault(each, part) if tensor.keys is not None else array_fault(each, part)
        left -= max(1, _size(part))
        if fault is not None and fault.code != "size":
            return fault
        if fault is not None or left < 0:
            return size_fault(tensor, tensor.maximum_bytes - left)
    return None


def map_fault(tensor: TensorContract, value: object) -> Finding | None:
    """Returns the first thing that is wrong with a map from keys to single values, or None."""
    if type(value) is not dict:
        return Finding("type", tensor.name, "a plain dict", kind(value))
    if not value and not tensor.empty:
        return Finding("shape", tensor.name, "at least one entry", "an empty dict")
    is_key = _KINDS["text" if tensor.keys == "string" else "key"]
    for key in value:
        if not is_key(key):
            return Finding("type", tensor.name, f"keys of type {tensor.keys}", kind(key))
    is_value = _KINDS[_kind_of(tensor.dtype)]
    for item in value.values():
        if not is_value(item):
            return Finding("type", tensor.name, f"values of type {tensor.dtype}", kind(item))
    size = _size(value)
    if size > tensor.maximum_bytes:
        return size_fault(tensor, size)
    return None if tensor.dtype == "string" or not value else _range_fault(tensor, value)


def _range_fault(tensor: TensorContract, value: Mapping[Any, Any]) -> Finding | None:
    try:
        with np.errstate(over="ignore"):
            array = np.array(list(value.values()), np.dtype(tensor.dtype))
    except (OverflowError, ValueError, TypeError):  # an integer that the type does not hold
        return Finding("range", tensor.name, f"values that {tensor.dtype} holds", "one that it does not")
    return number_fault(tensor, array)


def _size(value: object) -> int:
    """Returns the bytes of a part: of its numbers, and of its keys and text in UTF-8."""
    if type(value) is np.ndarray:
        return value.nbytes
    if type(value) is not dict:
        return 0
    return sum(
        len(item.encode(errors="replace")) if type(item) is str else _KEY_BYTES
        for pair in value.items()
        for item in pair
    )


def _kind_of(dtype: str) -> str:
    if dtype in INTEGER_DTYPES:
        return "integer"
    return {"string": "text", "bool": "bool"}.get(dtype, "number")


def _is_text(value: object) -> bool:
    return type(value) is str and "\0" not in value and is_text(value)


def _is_key(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


_KINDS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "key": _is_key,
        "integer": lambda value: type(value) is int,
        "number": lambda value: type(value) is float,
        "text": _is_text,
        "bool": lambda value: type(value) is bool,
    }
)
