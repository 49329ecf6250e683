"""Values of element types that NumPy lacks, into OpenVINO and out of it, bit for bit.

OpenVINO's Python package takes bfloat16 for float16 and float8 for uint8, and converts numbers, not bits.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from modelkeep.dtypes import FOREIGN, bits, foreign_dtype
from modelkeep.formats.openvino_ir import ELEMENT_TYPES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def dtype_of(port: Any) -> np.dtype[Any]:
    """Returns the data type of what goes into or comes out of a port.

    Raises:
        RuntimeMissingError: NumPy lacks it, and ml_dtypes is not installed.
    """
    name = ELEMENT_TYPES.get(port.get_element_type().get_type_name())
    found: np.dtype[Any] = foreign_dtype(name) if name in FOREIGN else port.get_element_type().to_dtype()
    return found


def wrapped(port: Any, value: NDArray[Any]) -> Any:
    """Returns what a request takes for `value`, whose data type is that of the port."""
    if dtype_of(port).name not in FOREIGN:
        return value
    openvino: Any = importlib.import_module("openvino")  # its package hides names from type checkers
    tensor = openvino.Tensor(port.get_element_type(), list(value.shape))
    if value.size:
        tensor.data.view(bits(value).dtype)[...] = bits(value)
    return tensor


def unwrapped(port: Any, value: NDArray[Any]) -> NDArray[Any]:
    """Returns what a request gave for a port, with the port's data type."""
    dtype = dtype_of(port)
    return value.view(dtype) if dtype.name in FOREIGN else value
