"""KServe's V1 protocol: ``{"instances": [...]}`` in, ``{"predictions": [...]}`` out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from modelkeep.contract import Contract
from modelkeep.errors import UsageError
from modelkeep.integrations.named_inputs import named_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MEMBER = "instances"


def inputs_of(payload: object, contract: Contract | None) -> dict[str, Any]:
    """Returns arrays by name out of a request.

    Args:
        payload: what the body holds: ``{"instances": [...]}``, each a row of the only input, or an object
            with a row of each input by name.
        contract: of the model.

    Raises:
        UsageError: something else.
    """
    if not isinstance(payload, Mapping) or list(payload) != [_MEMBER] or not payload[_MEMBER]:
        raise UsageError(
            'a request is {"instances": [...]}, with rows, as application/json',
            hint="ask so, or by the V2 protocol",
        )
    rows = payload[_MEMBER]
    if not isinstance(rows, list):
        raise UsageError("instances are a list", hint="of rows, for one row as well")
    return named_inputs(_columns(rows) if isinstance(rows[0], dict) else rows, contract)


def _columns(rows: list[Any]) -> dict[str, list[Any]]:
    names = list(rows[0])
    if not all(isinstance(row, dict) and row.keys() == rows[0].keys() for row in rows):
        raise UsageError("instances do not all have the same inputs", hint="name each input in each instance")
    return {name: [row[name] for row in rows] for name in names}


def answer_of(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the answer: the rows of the only output, or objects with a row of each output by name.

    Raises:
        UsageError: outputs that JSON has no form for, or of several that have not the same number of rows.
    """
    lists = {name: in_json(name, value).tolist() for name, value in outputs.items()}
    if len(lists) == 1:
        return {"predictions": next(iter(lists.values()))}
    if len({len(rows) if isinstance(rows, list) else -1 for rows in lists.values()}) != 1:
        raise UsageError("the outputs have not the same number of rows", hint="ask by the V2 protocol")
    rows = zip(*lists.values(), strict=True)
    return {"predictions": [dict(zip(lists, row, strict=True)) for row in rows]}


def in_json(name: str, value: Any) -> NDArray[Any]:
    """Returns an output if JSON can hold each of its elements as it is.

    Raises:
        UsageError: it is no array, or has NaN, infinities, complex numbers.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufOUS":
        raise UsageError(
            f"output {name!r} has no form in JSON",
            hint="ask by the V2 protocol for the outputs that have one",
        )
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise UsageError(f"output {name!r} has NaN or infinities, which JSON has not", hint="ask in binary")
    return value
