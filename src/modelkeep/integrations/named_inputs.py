"""Inputs by name, out of the forms in which tools hand them over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import UsageError


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
    if isinstance(value, np.ndarray) or tensor is None or tensor.dtype == "string":
        return value if isinstance(value, np.ndarray) else np.asarray(value)
    try:
        return np.asarray(value, np.dtype(tensor.dtype))
    except (OverflowError, TypeError, ValueError):
        raise UsageError(f"input {name!r} is no array of {tensor.dtype}") from None
