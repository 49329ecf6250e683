"""Values of a model through the channel: what comes out is what went in, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelkeep.errors import MalformedError, UsageError
from modelkeep.isolation import area
from modelkeep.isolation.area import Area
from modelkeep.isolation.values import put_together, taken_apart

LIMIT = 2**20


def through(values: dict[str, Any]) -> dict[str, Any]:
    forms, arrays = taken_apart(values)
    laid_out, size = area.packed(arrays)
    shared = Area.allocate(size)
    try:
        return put_together(forms, area.read(shared, area.write(shared, laid_out), copy=True), LIMIT)
    finally:
        shared.close()


def same(first: Any, second: Any) -> bool:
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return bool(first.dtype == second.dtype and np.array_equal(first, second))
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


ONES, TEXT = np.ones((2, 3), np.float32), np.array(["a", "bc"], object)


@pytest.mark.parametrize(
    "value",
    [
        ONES,
        np.array(3),
        TEXT,
        None,
        [],
        [ONES, ONES[:1]],
        [ONES, TEXT, [ONES], []],
        {},
        {"a": 0.1, "b": float("inf")},
        {7: 0.5, -(2**63): 0.25},
        {7: "text", 8: ""},
        {"a": 2**63 - 1},
        {"a": True},
        [{"a": 0.5}, {}, {"a": 1.0, "b": 2.0}],
        [{}],
    ],
    ids=repr,
)
def test_values_come_out_as_they_went_in(value: Any) -> None:
    values = {"x": value, "y": ONES}
    found = through(values)
    assert list(found) == list(values)
    assert all(same(found[name], values[name]) for name in values)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        1.5,
        "text",
        (ONES,),
        [1, 2],
        {"a": 1, "b": 0.5},
        {"a": 1, 2: 1},
        {"a": ONES},
        {2**70: 1},
        {"a": None},
        [[[[[[[[[ONES]]]]]]]]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused_by_name(value: Any) -> None:
    with pytest.raises(UsageError, match="'x' is no array of numbers or text"):
        taken_apart({"x": value})


def nested(levels: int) -> Any:
    form: Any = ["list", []]
    for _ in range(levels - 1):
        form = ["list", [form]]
    return form


COUNTS, KEYS, VALUES = np.array([1]), np.array([7]), np.array([0.5])


@pytest.mark.parametrize(
    ("form", "arrays"),
    [
        (None, []),
        ("array", []),
        ("array", [ONES, ONES]),
        ("frob", [ONES]),
        (["list", "array"], [ONES]),
        (["list"], []),
        (["maps", 1], [COUNTS, KEYS, VALUES]),
        (["maps", False], [np.array([1, 1]), np.array([1, 2]), np.array([1, 2])]),
        (["maps", True], [np.array([2]), KEYS, VALUES]),
        (["maps", True], [np.array([-1, 2]), KEYS, VALUES]),
        (["maps", True], [np.array([2]), np.array([7, 7]), np.array([1, 2])]),
        (["maps", True], [np.array([1.0]), KEYS, VALUES]),
        (["maps", True], [COUNTS, KEYS, np.array([[0.5]])]),
        (["maps", True], [COUNTS, KEYS, np.array([1j])]),
        (["maps", True], [np.array([LIMIT]), KEYS, VALUES]),
        (["maps", True], [np.zeros(LIMIT, np.int64), KEYS[:0], VALUES[:0]]),
        (nested(9), []),
    ],
    ids=str,
)
def test_forms_that_do_not_fit_are_malformed(form: Any, arrays: list[Any]) -> None:
    with pytest.raises(MalformedError):
        put_together([["x", form]], {str(place): array for place, array in enumerate(arrays)}, LIMIT)


@pytest.mark.parametrize("forms", [None, {}, [["x"]], [["x", "none", 1]], [[1, "none"]], [["x", "none"]] * 2])
def test_lists_of_forms_are_lists_of_pairs(forms: Any) -> None:
    with pytest.raises(MalformedError):
        put_together(forms, {}, LIMIT)
