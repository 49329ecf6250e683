from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import UsageError
from modelkeep.finding import Finding
from modelkeep.guard import ContractCheck

IMAGE = Contract((TensorContract("image", "float32", (None, 3, 8, 6)),))


def one(dtype: str, shape: tuple[int | None, ...] | None = (None,), **more: Any) -> Contract:
    return Contract((TensorContract("x", dtype, shape, **more),))


def code(contract: Contract, value: object) -> str | None:
    findings = ContractCheck(contract).findings({contract.inputs[0].name: value})
    assert len(findings) <= 1
    return findings[0].code if findings else None


def image() -> np.ndarray[Any, Any]:
    return np.full((2, 3, 8, 6), 0.5, np.float32)


def test_an_input_that_keeps_the_contract_passes_unchanged() -> None:
    value = image()
    value.flags.writeable = False
    assert ContractCheck(IMAGE).findings({"image": value}) == ()


@pytest.mark.parametrize("view", [image()[::-1], image()[:, :, ::-1], image().transpose(3, 2, 1, 0).T])
def test_strides_do_not_matter(view: np.ndarray[Any, Any]) -> None:
    assert code(IMAGE, view) is None


class Lying:
    """Pretends to be a fine array to whoever asks politely."""

    dtype = np.dtype(np.float32)
    shape = (1, 3, 8, 6)
    __class__ = np.ndarray  # type: ignore[assignment]

    def __array__(self) -> np.ndarray[Any, Any]:
        raise AssertionError("must not be asked")


class Hostile:
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("asked for its class")


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise ValueError("no name")


class Odd(metaclass=Nameless):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        b"bytes",
        [[0.5]],
        0.5,
        np.float32(0.5),
        Lying(),
        Odd(),
        np.ma.masked_array(image(), mask=True),
        np.ones((2, 2), np.float32).view(np.matrix),
        np.rec.array([(1.0,)], dtype=[("a", "<f4")]),
        np.ndarray,
    ],
    ids=lambda value: type.__dict__["__name__"].__get__(type(value)),
)
def test_only_plain_arrays_pass(value: object) -> None:
    assert code(IMAGE, value) == "type"


def test_a_memmap_is_refused_because_its_file_can_change(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2, 3, 8, 6))
    assert code(IMAGE, mapped) == "type"
    assert code(IMAGE, np.array(mapped)) is None


@pytest.mark.parametrize(
    "dtype",
    [
        "float64",
        "float16",
        "int32",
        "bool",
        "complex64",
        "O",
        "U3",
        "S3",
        "V4",
        "M8[s]",
        [("a", "<f4")],
        ">f8",
    ],
)
def test_another_element_type_is_refused(dtype: Any) -> None:
    assert code(IMAGE, np.zeros((2, 3, 8, 6), dtype)) == "dtype"


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64"])
def test_swapped_bytes_are_refused(dtype: str) -> None:
    swapped = np.full(4, 0.5).astype(dtype).astype(np.dtype(dtype).newbyteorder("S"))
    assert code(one(dtype), swapped) == "byte-order"
    assert code(one(dtype), swapped.astype(dtype)) is None


def test_swapped_text_is_refused() -> None:
    assert code(one("string"), np.array(["a"], np.dtype("U1").newbyteorder("S"))) == "byte-order"


def test_metadata_on_an_element_type_does_not_matter() -> None:
    dtype = np.dtype("f4", metadata={"unit": "volt"})
    assert code(one("float32"), np.ones(3, dtype)) is None


@pytest.mark.parametrize("shape", [(), (8, 6), (3, 8, 6), (1, 1, 3, 8, 6), (288,)])
def test_another_rank_is_refused(shape: tuple[int, ...]) -> None:
    assert code(IMAGE, np.ones(shape, np.float32)) == "rank"


def test_another_length_is_refused() -> None:
    assert ContractCheck(IMAGE).findings({"image": np.ones((1, 3, 8, 7), np.float32)}) == (
        Finding("shape", "image", "(any, 3, 8, 6)", "(1, 3, 8, 7)"),
    )


@pytest.mark.parametrize("shape", [(0, 3, 8, 6), (0,), (2, 0)])
def test_empty_arrays_are_refused(shape: tuple[int, ...]) -> None:
    assert code(one("float32", None), np.ones(shape, np.float32)) == "shape"
    assert code(IMAGE, np.ones(shape, np.float32)) == "shape"


def test_a_scalar_contract_takes_a_scalar_array() -> None:
    assert code(one("float32", ()), np.array(1, np.float32)) is None
    assert code(one("float32", (1,)), np.array(1, np.float32)) == "rank"


@pytest.mark.parametrize(
    ("found", "axes"),
    [((1, 8, 6, 3), (0, 3, 1, 2)), ((3, 8, 6, 1), (3, 0, 1, 2)), ((1, 3, 6, 8), (0, 1, 3, 2))],
)
def test_permuted_axes_are_named(found: tuple[int, ...], axes: tuple[int, ...]) -> None:
    (finding,) = ContractCheck(IMAGE).findings({"image": np.ones(found, np.float32)})
    assert finding.code == "layout"
    assert finding.found == f"{found}: axes look permuted, transpose{axes} fits"
    assert code(IMAGE, np.ones(found, np.float32).transpose(axes)) is None


def test_size_is_checked_before_values() -> None:
    huge = np.broadcast_to(np.float32(math.nan), (10**9, 1000))
    assert code(one("float32", None), huge) == "size"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("place", [0, 500, -1])
def test_one_number_that_is_not_finite_is_refused(bad: float, dtype: str, place: int) -> None:
    value = np.ones(1000, dtype)
    value[place] = bad
    (finding,) = ContractCheck(one(dtype)).findings({"x": value})
    assert (finding.code, finding.found) == ("not-finite", "1 NaN or infinite")


def test_an_imaginary_part_that_is_not_finite_is_refused() -> None:
    value = np.ones(10, np.complex64)
    value[3] = complex(1, math.inf)
    assert code(one("complex64"), value) == "not-finite"


def test_numbers_that_are_not_finite_are_counted_in_any_layout() -> None:
    value = np.full((300, 3, 8, 6), math.nan, np.float32)[::2, ::-1]
    value[0] = 0
    (finding,) = ContractCheck(IMAGE).findings({"image": value})
    assert finding.found == f"{149 * 3 * 8 * 6} NaN or infinite"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bfloat16_is_decoded(bad: float) -> None:
    bounded = one("bfloat16", maximum=2.0)
    value = np.ones((400, 400), ml_dtypes.bfloat16).T[::-1]
    contract = one("bfloat16", (None, None), maximum=2.0)
    assert code(contract, value) is None
    value[399, 399] = bad
    assert code(contract, value) == "not-finite"
    value[399, 399] = 3
    assert code(contract, value) == "range"
    assert code(bounded, np.ones(3, "V2")) == "dtype"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8"])
def test_the_range_includes_its_ends(dtype: str) -> None:
    contract = one(dtype, minimum=1.0, maximum=5.0)
    assert code(contract, np.array([1, 3, 5], dtype)) is None
    below, above = (
        ContractCheck(contract).findings({"x": np.array([3, number], dtype)}) for number in (0, 6)
    )
    assert below == (Finding("range", "x", "from 1.0 to 5.0", "values below"),)
    assert above == (Finding("range", "x", "from 1.0 to 5.0", "values above"),)


def test_integers_compare_exactly_beyond_double_precision() -> None:
    contract = one("int64", maximum=float(2**53))
    assert code(contract, np.array([2**53])) is None
    assert code(contract, np.array([2**53 + 1])) == "range"


def test_nan_does_not_hide_values_out_of_range_where_nan_is_allowed() -> None:
    contract = one("float32", finite=False, minimum=0.0, maximum=1.0)
    assert code(contract, np.array([math.nan, 0.5], np.float32)) is None
    assert code(contract, np.array([math.nan, 1.5], np.float32)) == "range"
    assert code(contract, np.array([math.nan, math.inf], np.float32)) == "range"
    assert code(one("float32", finite=False), np.array([math.inf], np.float32)) is None


def test_a_bool_that_is_neither_true_nor_false_is_refused() -> None:
    assert code(one("bool"), np.array([True, False])) is None
    assert code(one("bool"), np.frombuffer(b"\0\1\2", np.bool_)) == "range"


@pytest.mark.parametrize("value", [np.array(["a", "", "ü"]), np.array(["a", "bc"], object)])
def test_text_passes(value: np.ndarray[Any, Any]) -> None:
    assert code(one("string"), value) is None


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"a"], object),
        np.array(["a", None], object),
        np.array(["a", 1.5], object),
        np.array(["a", np.ones(2)], object),
        np.array(["a\0b"], object),
        np.array(["a\0b"]),
        np.array(["\ud800"], object),
        np.array(["\ud800"]),
        np.frombuffer(b"\xff\xff\xff\x7f", "U1"),
    ],
    ids=range(9),
)
def test_other_things_than_text_are_refused(value: np.ndarray[Any, Any]) -> None:
    assert code(one("string"), value) == "type"


def test_byte_strings_are_not_text() -> None:
    assert code(one("string"), np.array([b"abc"])) == "dtype"


def test_text_counts_in_utf8_bytes() -> None:
    assert code(one("string", maximum_bytes=40), np.array(["ü" * 20], object)) is None
    assert code(one("string", maximum_bytes=39), np.array(["ü" * 20], object)) == "size"
    assert code(one("string", maximum_bytes=39), np.array(["a", "b" * 10**6], object)) == "size"


def test_findings_come_in_contract_order_then_by_name() -> None:
    contract = Contract((TensorContract("b", "int8", None), TensorContract("a", "int8", None)))
    findings = ContractCheck(contract).findings({"z": 1, "a": 1, "y": 1})
    assert [(finding.code, finding.input) for finding in findings] == [
        ("missing", "b"),
        ("type", "a"),
        ("unexpected", "y"),
        ("unexpected", "z"),
    ]


class Impostor(str):
    """Equal to every name."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        return hash("image")


def test_a_name_that_is_no_true_string_is_unexpected() -> None:
    for name in (Impostor("image"), 7, None, b"image", np.str_("other")):
        codes = [finding.code for finding in ContractCheck(IMAGE).findings({name: image()})]  # type: ignore[dict-item]
        assert codes == ["missing", "unexpected"]


def test_control_characters_of_a_name_are_escaped() -> None:
    (finding,) = ContractCheck(Contract(())).findings({"a\nb\x1b": 1})
    assert finding.input == "'a\\nb\\x1b'"


class Broken(Mapping[str, object]):
    def __getitem__(self, name: str) -> object:
        raise RuntimeError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(["image"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "inputs", [None, [], "image", image(), Broken()], ids=lambda value: type(value).__name__
)
def test_what_is_no_readable_mapping_is_refused(inputs: Any) -> None:
    (finding,) = ContractCheck(IMAGE).findings(inputs)
    assert (finding.code, finding.input) == ("type", "*")


def test_objects_that_raise_when_looked_at_are_refused() -> None:
    hostile: Any = Hostile()
    assert [finding.code for finding in ContractCheck(IMAGE).findings(hostile)] == ["type"]
    assert [finding.code for finding in ContractCheck(IMAGE).findings({"image": hostile})] == ["type"]


def test_adjusting_keeps_what_is_not_named() -> None:
    contract = Contract((TensorContract("a", "int8", (None, 3)), TensorContract("b", "float32", None)))
    changes: dict[str, dict[str, object]] = {"a": {"shape": [2, 3], "minimum": 0, "maximum_bytes": 6}}
    assert contract.adjust(changes) == Contract(
        (
            TensorContract("a", "int8", (2, 3), minimum=0.0, maximum_bytes=6),
            TensorContract("b", "float32", None),
        )
    )
    assert contract.adjust({}) == contract


def test_a_free_rank_can_be_fixed() -> None:
    tensor = TensorContract("x", "float32", None)
    assert tensor.adjust({"shape": (1, None)}).shape == (1, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "float64"},
        {"finite": 0},
        {"empty": None},
        {"optional": True},
        {"name": "y"},
        {"shape": [None, None]},
        {"shape": [None, 4]},
        {"shape": [None, 3, 1]},
        {"shape": None},
        {"shape": "13"},
        {"shape": [-1, 3]},
        {"shape": [True, 3]},
        {"shape": [1.0, 3]},
        {"minimum": math.nan},
        {"maximum": math.inf},
        {"minimum": "0"},
        {"minimum": None},
        {"minimum": True},
        {"minimum": 2**53 + 1},
        {"maximum": 10**400},
        {"minimum": 2, "maximum": 1},
        {"minimum": -2},
        {"maximum_bytes": 0},
        {"maximum_bytes": 2**60},
        {"maximum_bytes": 1.5},
        {"maximum_bytes": 11},
        {"shape": [2**60, 3]},
        {1: 2},
        None,
    ],
    ids=str,
)
def test_changes_that_make_no_sense_are_refused(changes: Any) -> None:
    contract = Contract((TensorContract("x", "float32", (None, 3), minimum=-1.0),))
    with pytest.raises(UsageError) as caught:
        contract.adjust({"x": changes})
    assert caught.value.hint == (
        "what may be changed: shape, minimum, maximum, maximum_bytes, finite, empty, optional"
    )
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize("dtype", ["bool", "string", "complex64"])
def test_what_has_no_order_has_no_bounds(dtype: str) -> None:
    with pytest.raises(UsageError):
        TensorContract("x", dtype, None).adjust({"maximum": 1})


def test_an_unknown_input_is_named_in_the_hint() -> None:
    with pytest.raises(UsageError) as caught:
        IMAGE.adjust({"img": {}})
    assert caught.value.hint == "inputs: image"


def test_bounds_only_move_inwards() -> None:
    tensor = TensorContract("x", "float32", None).adjust({"minimum": 0, "maximum": 10})
    assert tensor.adjust({"maximum": np.float32(5)}).maximum == 5.0
    with pytest.raises(UsageError):
        tensor.adjust({"maximum": 11})
