"""Vectors for input contracts: `python vectors/contracts.py` writes vectors/v1/contracts.json.

Each has the object of one input, as it stands in an inner manifest, and cases: a value, and the code of the
finding that it gives, or null where it passes. Values are ``{"dtype", "shape", "data"}`` (little-endian, in
hexadecimal), ``{"texts", "shape"}``, ``{"list": [values]}``, ``{"map": [[key, value], ...]}`` with floats in
hexadecimal form, or null.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from modelkeep.contract import Contract, TensorContract
from modelkeep.contract_json import contract_to_json
from modelkeep.guard import ContractCheck

TARGET = Path(__file__).parent / "v1" / "contracts.json"
PLAIN = TensorContract("x", "float32", (None, 2))
NAN, INFINITY = float("nan"), float("inf")


def floats(*values: float, shape: tuple[int, ...] = (1, 2), dtype: Any = np.float32) -> Any:
    """Returns an array; what does not fit the type becomes infinite."""
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(dtype).reshape(shape)


NOTHING = floats(shape=(0, 2))
ONES = floats(1, 1)

VECTORS: dict[str, tuple[TensorContract, list[Any]]] = {
    "plain": (
        PLAIN,
        [
            ONES,
            NOTHING,
            floats(NAN, 1),
            floats(1, 1, dtype=np.float64),
            floats(1, shape=(1, 1)),
            None,
            [ONES],
        ],
    ),
    "not finite": (replace(PLAIN, finite=False), [floats(NAN, 1), floats(-INFINITY, 1), NOTHING]),
    "not finite, bounded": (
        replace(PLAIN, finite=False, minimum=0.0),
        [floats(NAN, 0), floats(NAN, -1), floats(INFINITY, 1), floats(-INFINITY, 1)],
    ),
    "empty": (replace(PLAIN, empty=True), [NOTHING, floats(shape=(2, 0)), ONES]),
    "a length of 0": (replace(PLAIN, shape=(0, 2)), [NOTHING, ONES]),
    "optional": (replace(PLAIN, optional=True), [None, ONES, floats(NAN, 1)]),
    "bound of float32": (
        replace(PLAIN, maximum=0.1),
        [floats(0.1, 0), np.nextafter(floats(0.1, 0), np.float32(1))],
    ),
    "bound of float16": (
        replace(PLAIN, dtype="float16", minimum=-0.1),
        [floats(-0.1, 0, dtype=np.float16), floats(-0.1001, 0, dtype=np.float16)],
    ),
    "bound of bfloat16": (
        replace(PLAIN, dtype="bfloat16", maximum=0.1),
        [floats(0.1, 0, dtype=ml_dtypes.bfloat16), floats(0.1008, 0, dtype=ml_dtypes.bfloat16)],
    ),
    "bound beyond float16": (
        replace(PLAIN, dtype="float16", maximum=1e6),
        [floats(65504, 0, dtype=np.float16), floats(INFINITY, 0, dtype=np.float16)],
    ),
    "bound of integers": (
        TensorContract("x", "int32", (1,), maximum=0.5),
        [np.array([0], np.int32), np.array([1], np.int32)],
    ),
    "float8": (
        replace(PLAIN, dtype="float8_e4m3fn", maximum=1.0),
        [
            floats(1, 0.5, dtype=ml_dtypes.float8_e4m3fn),
            floats(2, 0, dtype=ml_dtypes.float8_e4m3fn),
            floats(NAN, 0, dtype=ml_dtypes.float8_e4m3fn),
        ],
    ),
    "sequence": (
        replace(PLAIN, sequence=True, maximum_bytes=24),
        [[ONES, ONES], [ONES] * 4, [], [ONES, NOTHING], [floats(1, shape=(1, 1))], ONES, None],
    ),
    "sequence of empty arrays": (
        replace(PLAIN, sequence=True, empty=True, maximum_bytes=2),
        [[], [NOTHING] * 2, [NOTHING] * 3],
    ),
    "map from text": (
        TensorContract("x", "float32", (), keys="string", maximum=0.1, maximum_bytes=20),
        [{"a": 0.1}, {"a": 0.2}, {"a": NAN}, {"é" * 7: 0.0}, {}, {1: 0.0}, {"a": "b"}, {"a\0": 0.0}],
    ),
    "map from integers": (
        TensorContract("x", "int8", (), keys="int64"),
        [{-1: 127}, {-1: 128}, {2**63 - 1: 0}, {2**63: 0}, {"a": 0}, {1: 0.5}],
    ),
    "map to text": (TensorContract("x", "string", (), keys="int64"), [{1: "text"}, {1: 1}, {1: "\0"}]),
    "sequence of maps": (
        TensorContract("x", "float64", (), keys="int64", sequence=True),
        [[{1: 0.5}, {2: 1.5}], [{1: 0.5}, {}], [], {1: 0.5}],
    ),
    "text": (
        TensorContract("x", "string", (None,), maximum_bytes=20),
        [np.array(["é", ""], object), np.array(["\0"], object), np.array(["x" * 21], object)],
    ),
}


def main() -> None:
    """Writes the vectors."""
    TARGET.write_text(json.dumps(made(), indent=1, ensure_ascii=True, sort_keys=True) + "\n")


def made() -> list[dict[str, Any]]:
    """Returns the vectors."""
    return [
        {
            "name": name,
            "input": contract_to_json(Contract((tensor,)))[0],
            "cases": [{"value": encoded(value), "finding": finding(tensor, value)} for value in values],
        }
        for name, (tensor, values) in VECTORS.items()
    ]


def finding(tensor: TensorContract, value: Any) -> str | None:
    """Returns the code of what is wrong with a value, or None."""
    findings = ContractCheck(Contract((tensor,))).findings({"x": value})
    return findings[0].code if findings else None


def encoded(value: Any) -> Any:
    """Returns a value as it stands in the vectors."""
    if isinstance(value, list):
        return {"list": [encoded(each) for each in value]}
    if isinstance(value, dict):
        return {"map": [[key, item.hex() if type(item) is float else item] for key, item in value.items()]}
    if value is None:
        return None
    if value.dtype == object:
        return {"texts": list(value.flat), "shape": list(value.shape)}
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": value.tobytes().hex()}


if __name__ == "__main__":
    main()
