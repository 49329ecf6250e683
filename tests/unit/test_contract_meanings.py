"""What models mean by an input: missing values, nothing at all, lists, maps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from modelkeep.contract import FLOAT8_DTYPES, Contract, TensorContract
from modelkeep.errors import UsageError
from modelkeep.guard import ContractCheck, advice


def one(dtype: str, shape: tuple[int | None, ...] | None = (None,), **more: Any) -> Contract:
    return Contract((TensorContract("x", dtype, shape, **more),))


def codes(contract: Contract, value: object) -> list[str]:
    return [finding.code for finding in ContractCheck(contract).findings({"x": value})]


def test_the_publisher_lets_missing_values_and_masks_in() -> None:
    value = np.array([np.nan, -np.inf, 1], np.float32)
    assert codes(one("float32", (3,)), value) == ["not-finite"]
    assert not codes(Contract((TensorContract("x", "float32", (3,)).adjust({"finite": False}),)), value)


def test_numbers_beside_missing_values_are_held_to_the_bounds() -> None:
    contract = one("float32", (2,), minimum=0.0, finite=False)
    assert not codes(contract, np.array([np.nan, 0], np.float32))
    assert codes(contract, np.array([np.nan, -1], np.float32)) == ["range"]


@pytest.mark.parametrize("dtype", ["float32", "int64", "string", "bool", "complex64"])
def test_the_publisher_lets_empty_arrays_in(dtype: str) -> None:
    tensor = TensorContract("x", dtype, (1, None)).adjust({"empty": True})
    value = np.empty((1, 0), np.str_ if dtype == "string" else dtype)
    assert not codes(Contract((tensor,)), value)
    assert codes(Contract((tensor,)), value.reshape(0, 3)) == ["shape"]


@pytest.mark.parametrize(
    ("inputs", "switch"),
    [
        ({"x": np.array([[np.nan]])}, "finite=false"),
        ({"x": np.empty((1, 0))}, "empty=true"),
        ({"x": np.ones((1, 1)), "scale": np.ones(1)}, "optional=true"),
    ],
)
def test_a_refusal_names_the_switch_of_the_publisher(inputs: Any, switch: str) -> None:
    findings = ContractCheck(one("float64", (1, None))).findings(inputs)
    assert switch in advice(findings)


def test_other_refusals_name_no_switch() -> None:
    findings = ContractCheck(one("float64", (1, None))).findings({"x": np.ones((2, 2))})
    assert advice(findings) == "`session.contract` says what the model takes"


def test_a_length_of_0_needs_no_leave() -> None:
    contract = one("int64", (0,))
    assert not codes(contract, np.empty(0, np.int64))
    assert codes(contract, np.ones(1, np.int64)) == ["shape"]


def test_what_may_be_left_out_may_be_none() -> None:
    contract = Contract((TensorContract("x", "float32", (1,), optional=True),))
    assert not ContractCheck(contract).findings({})
    assert not ContractCheck(contract).findings({"x": None})
    assert codes(contract, np.ones(2, np.float32)) == ["shape"]


def test_defaults_are_let_in_by_being_named() -> None:
    contract = Contract(
        (TensorContract("x", "int8", (1,)),), (TensorContract("scale", "int8", (1,), optional=True),)
    )
    assert [tensor.name for tensor in contract.adjust({}).inputs] == ["x"]
    assert [tensor.name for tensor in contract.adjust({"scale": {"optional": True}}).inputs] == ["x", "scale"]
    (_, needed) = contract.adjust({"scale": {"optional": False}}).inputs
    assert not needed.optional


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("bound", [0.1, 1 / 3, -0.7, 1e-40, 3.3895313e38, 65519.0, 1e39])
def test_a_value_clipped_to_a_bound_keeps_it(dtype: str, bound: float) -> None:
    element = getattr(ml_dtypes, dtype) if dtype == "bfloat16" else np.dtype(dtype).type
    with np.errstate(over="ignore"):
        clipped = np.array([bound], np.float64).astype(element)
    for contract in (one(dtype, minimum=bound, finite=False), one(dtype, maximum=bound, finite=False)):
        assert not codes(contract, clipped)


def test_the_next_value_beyond_a_bound_is_out() -> None:
    clipped = np.float32(0.1)
    assert codes(one("float32", maximum=0.1), np.array([np.nextafter(clipped, np.float32(1))])) == ["range"]
    assert codes(one("int32", maximum=0.5), np.array([1], np.int32)) == ["range"]


@pytest.mark.parametrize("dtype", sorted(FLOAT8_DTYPES))
def test_float8_is_decoded(dtype: str) -> None:
    values = np.array([0.5, 2], getattr(ml_dtypes, dtype))
    assert not codes(one(dtype, maximum=2.0), values)
    assert codes(one(dtype, maximum=1.0), values) == ["range"]
    assert codes(one(dtype), np.array([np.nan], values.dtype)) == ["not-finite"]
    assert codes(one(dtype), values.view(np.uint8)) == ["dtype"]


LIST = Contract((TensorContract("x", "float32", (None, 2), sequence=True, maximum_bytes=32),))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)], []),
        ([np.ones((1, 2), np.float32), np.ones((4, 2), np.float32)], ["size"]),
        ([np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)], ["shape"]),
        ([np.ones((1, 2), np.float32), [[1, 2]]], ["type"]),
        ([np.full((1, 2), np.nan, np.float32)], ["not-finite"]),
        ([], ["shape"]),
        (np.ones((1, 1, 2), np.float32), ["type"]),
        ((np.ones((1, 2), np.float32),), ["type"]),
        (None, ["type"]),
    ],
    ids=str,
)
def test_the_parts_of_a_list_keep_the_contract(value: Any, expected: list[str]) -> None:
    assert codes(LIST, value) == expected


def test_a_finding_names_the_part() -> None:
    (finding,) = ContractCheck(LIST).findings(
        {"x": [np.ones((1, 2), np.float32), np.ones((1, 2), np.float64)]}
    )
    assert finding.input == "x[1]"


def test_empty_parts_count_as_well() -> None:
    contract = Contract((replace(LIST.inputs[0], empty=True),))
    assert not codes(contract, [])
    assert not codes(contract, [np.ones((0, 2), np.float32)] * 32)
    assert codes(contract, [np.ones((0, 2), np.float32)] * 33) == ["size"]


WORDS = Contract((TensorContract("x", "float32", (), keys="string", maximum=1.0, maximum_bytes=64),))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 0.5, "b": 1.0}, []),
        ({"a": 2.0}, ["range"]),
        ({"a": math.nan}, ["not-finite"]),
        ({"a": 1e39}, ["not-finite"]),
        ({"a": 1}, ["type"]),
        ({"a": "b"}, ["type"]),
        ({1: 1.0}, ["type"]),
        ({"a\0": 1.0}, ["type"]),
        ({"\ud800": 1.0}, ["type"]),
        ({"a" * 60: 1.0}, ["size"]),
        ({}, ["shape"]),
        ([("a", 1.0)], ["type"]),
    ],
    ids=repr,
)
def test_maps_keep_the_contract(value: Any, expected: list[str]) -> None:
    assert codes(WORDS, value) == expected


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("int64", 2**63 - 1, []),
        ("int64", 2**63, ["range"]),
        ("int8", 128, ["range"]),
        ("string", "text", []),
        ("string", "te\0xt", ["type"]),
        ("bool", True, []),
        ("bool", 1, ["type"]),
    ],
)
def test_the_values_of_a_map_fit_their_type(dtype: str, value: Any, expected: list[str]) -> None:
    contract = Contract((TensorContract("x", dtype, (), keys="int64"),))
    assert codes(contract, {7: value}) == expected
    assert codes(contract, {2**63: value}) == ["type"]
    assert codes(contract, {True: value}) == ["type"]


def test_lists_of_maps() -> None:
    contract = Contract((replace(WORDS.inputs[0], sequence=True),))
    assert not codes(contract, [{"a": 0.5}, {"b": 0.5}])
    assert codes(contract, [{"a": 0.5}, {}]) == ["shape"]
    assert codes(contract, [{"a" * 30: 0.5}, {"a" * 30: 0.5}]) == ["size"]


def test_a_publisher_states_what_the_format_does_not() -> None:
    contract = Contract.declare({"x": {"dtype": "float32", "shape": [None, 3], "minimum": 0}})
    assert contract.inputs == (TensorContract("x", "float32", (None, 3), minimum=0.0),)
    with pytest.raises(UsageError, match="dtype is needed"):
        Contract.declare({"x": {"shape": [1]}})
    with pytest.raises(UsageError, match="not a mapping"):
        Contract.declare([])  # type: ignore[arg-type]
