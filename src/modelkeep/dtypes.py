"""Data types for the element types that contracts name; those that NumPy lacks come from ml_dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelkeep.contract import DTYPES, FLOAT8_DTYPES
from modelkeep.errors import RuntimeMissingError

if TYPE_CHECKING:
    import numpy as np

# Known to NumPy only through packages that register them.
FOREIGN = frozenset({"bfloat16", *FLOAT8_DTYPES})


def foreign_dtype(name: str) -> np.dtype[Any]:
    """Returns the data type of a member of `FOREIGN`.

    Raises:
        RuntimeMissingError: ml_dtypes is not installed, or too old for it.
    """
    import numpy as np

    try:
        import ml_dtypes

        kind = getattr(ml_dtypes, name)
    except (ImportError, AttributeError) as error:
        raise RuntimeMissingError(f"NumPy has no {name}", hint="pip install -U ml_dtypes") from error
    found: np.dtype[Any] = np.dtype(kind)
    return found


def bits(array: Any) -> Any:
    """Returns the elements of an array of a foreign type as unsigned integers of the same size, uncopied."""
    return array.view("uint16" if DTYPES[array.dtype.name] == 2 else "uint8")


def is_foreign(array: Any) -> bool:
    """Returns whether an array's elements are of a foreign type, by name and size."""
    name = array.dtype.name
    return name in FOREIGN and array.dtype.itemsize == DTYPES[name]
