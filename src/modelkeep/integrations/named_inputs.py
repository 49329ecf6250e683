"""Inputs by name, out of the forms in which tools hand them over."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Kinds of elements, as NumPy names them, that an array of a kind takes from lists.
_TAKEN = {"b": "b", "i": "iu", "u": "iu", "f": "biuf", "c": "biufc"}
_MOST_DIMENSIONS = 64


def named_inputs(value: Any, contract: Contract | None) -> dict[str, Any]:
    """Returns arrays by name; arrays stay as they are, numbers in lists become what the model takes.

    Args:
        value: arrays or lists by name, a table with columns, or one array or list for the only input.
        contract: of the model.

    Raises:
        UsageError: something else.
    """
    known: Mapping[str, TensorContract] = {} if contract is None else contract.by_name()
    if hasattr(value, "columns"):  # a DataFrame of pandas, which nobody need have
        value = {name: _column(value[name]) for name in value.columns}
    if not isinstance(value, Mapping):
        if len(known) != 1:
            raise UsageError("the model does not have one input alone", hint="pass arrays by name")
        value = {next(iter(known)): value}
    return {name: _array(str(name), each, known.get(name)) for name, each in value.items()}


def _column(column: Any) -> Any:
    values = column.to_numpy()
    return values.tolist() if values.dtype == object else values


def _array(name: str, value: Any, tensor: TensorContract | None) -> Any:
    if isinstance(value, np.ndarray):
        return value
    return array_of(name, value, None if tensor is None else tensor.dtype)


def array_of(name: str, value: Any, dtype: str | None) -> NDArray[Any]:
    """Returns numbers or texts in lists as an array, whose elements are those of the lists.

    Args:
        name: of the input, for errors.
        value: lists within lists, or one element.
        dtype: the contract's name for the element type; None for whatever the elements are.

    Raises:
        UsageError: lists of different lengths, or elements that this type does not have: numbers beyond its
            range, parts of integers, texts for numbers.
    """
    try:
        # As objects, texts keep zeros at their ends, and none takes the room of the longest for each element.
        found = np.asarray(value, object if _has_text(value) else None)
        if dtype is None:
            return found
        wanted = np.dtype(object if dtype == "string" else dtype)
        if found.size and not _fits(found, wanted.kind):
            raise TypeError
        with np.errstate(over="raise"):
            return np.asarray(value, wanted)
    except (ArithmeticError, RecursionError, TypeError, ValueError):
        raise UsageError(
            f"input {name!r} is no array of {dtype or 'one type'}",
            hint="pass elements that this type has, in lists of equal lengths",
        ) from None


def _has_text(value: Any) -> bool:
    level = [value]
    for _depth in range(_MOST_DIMENSIONS):
        kinds = set(map(type, level))
        if any(issubclass(kind, str | bytes) for kind in kinds):
            return True
        if not any(issubclass(kind, list | tuple) for kind in kinds):
            return False
        level = [*chain.from_iterable(each for each in level if isinstance(each, list | tuple))]
    return False


def _fits(found: NDArray[Any], kind: str) -> bool:
    if kind == "O":
        return all(isinstance(each, str) for each in found.flat)
    return found.dtype.kind in _TAKEN.get(kind, "")
