"""Lists become the arrays that they stand for, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import UsageError
from modelkeep.integrations.named_inputs import array_of, named_inputs

ONE = Contract((TensorContract("x", "float32", (None, 2)),))
TWO = Contract((*ONE.inputs, TensorContract("n", "uint8", (None,))))


class Table:
    """What of a DataFrame is looked at."""

    def __init__(self, **columns: Any) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> Any:
        return type("Column", (), {"to_numpy": lambda _: np.array(self._columns[name], object)})()


def test_arrays_stay_and_lists_become_what_the_model_takes() -> None:
    x = np.ones((1, 2))
    assert named_inputs(x, ONE)["x"] is x
    assert named_inputs([[1, 2]], ONE)["x"].dtype == np.float32
    named = named_inputs(Table(x=[[1.5, 2]], n=[7]), TWO)
    assert (named["x"].tolist(), named["n"].dtype) == ([[1.5, 2]], np.uint8)
    assert named_inputs({"x": [[1]]}, None)["x"].tolist() == [[1]]
    assert array_of("x", [], "int64").dtype == np.int64
    assert array_of("x", ["a", "b\0"], "string").tolist() == ["a", "b\0"]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1.5], "int32"), (["1"], "float32"), ([1e40], "float32"), ([300], "uint8"), ([-1], "uint8"),
     ([1], "bool"), ([[1], [1, 2]], "float32"), ([None], "float32"), ([2**64], "uint64"), ({}, "float32"),
     ([[1], "a"], "string"), (["a", 1], "string"), ([[1, 2], [3, "4"]], "float32"),
     ([1], "string")],
)  # fmt: skip
def test_what_would_become_something_else_is_refused(value: object, dtype: str) -> None:
    with pytest.raises(UsageError, match="'x' is no array of"):
        array_of("x", value, dtype)


def test_inputs_without_names_need_a_model_of_one_input() -> None:
    for contract in (TWO, None):
        with pytest.raises(UsageError, match="pass arrays by name|one input alone"):
            named_inputs([1], contract)
