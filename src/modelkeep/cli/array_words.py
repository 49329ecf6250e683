"""What a model gives, for people and machines: a line, or values that every JSON reader takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_VALUES = 1000
_LONGEST = 100


def facts_of(array: NDArray[Any]) -> dict[str, Any]:
    """Returns dtype, shape and values of an array; values that are too many are None."""
    values = _json(array.tolist()) if array.size <= _MOST_VALUES else None
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": values}


def in_a_line(array: NDArray[Any]) -> str:
    """Returns dtype, shape and the first values of an array."""
    import numpy as np

    shown = np.array2string(array, threshold=8, edgeitems=3, precision=6, separator=", ")
    words = " ".join(shown.split())
    cut = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."
    return f"{array.dtype} {tuple(array.shape)} {cut}"


def _json(value: Any) -> Any:
    """Returns values as JSON has them; it has no word for those that are not finite, and none for bytes."""
    if isinstance(value, list):
        return [_json(each) for each in value]
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
