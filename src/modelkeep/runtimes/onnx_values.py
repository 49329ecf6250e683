"""Values of element types that NumPy lacks, into ONNX Runtime and out of it, bit for bit."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelkeep.dtypes import bits, foreign_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

# ONNX Runtime's name of a type -> ours, and the number that ONNX has for it.
_FOREIGN: Mapping[str, tuple[str, int]] = {
    "tensor(bfloat16)": ("bfloat16", 16),
    "tensor(float8e4m3fn)": ("float8_e4m3fn", 17),
    "tensor(float8e4m3fnuz)": ("float8_e4m3fnuz", 18),
    "tensor(float8e5m2)": ("float8_e5m2", 19),
    "tensor(float8e5m2fnuz)": ("float8_e5m2fnuz", 20),
}
_TENSOR = re.compile(r"tensor\(\w+\)")


class ForeignValues:
    """The inputs and outputs of a session that plain NumPy arrays cannot hold.

    Raises:
        RuntimeMissingError: there are such, but ml_dtypes is not installed.
    """

    def __init__(self, session: Any) -> None:
        self._inputs = _foreign(session.get_inputs())
        self._outputs = _foreign(session.get_outputs())

    def __bool__(self) -> bool:
        return bool(self._inputs or self._outputs)

    def run(self, session: Any, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Computes outputs; arguments and errors are those of the session's own `run`."""
        values = {name: self._wrapped(name, value) for name, value in inputs.items()}
        results = session.run_with_ort_values(list(outputs), values)
        return [self._unwrapped(name, result) for name, result in zip(outputs, results, strict=True)]

    def _wrapped(self, name: str, value: NDArray[Any]) -> Any:
        import numpy as np
        from onnxruntime import OrtValue

        if name not in self._inputs:
            return OrtValue.ortvalue_from_numpy(value)
        own, number = self._inputs[name]
        if getattr(value, "dtype", None) != foreign_dtype(own):
            raise ValueError(f"input {name!r} is not of type {own}")
        return OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(bits(value)), number)

    def _unwrapped(self, name: str, result: Any) -> Any:
        import numpy as np

        if name not in self._outputs:
            return result.numpy()
        own, _number = self._outputs[name]
        content = (
            ctypes.string_at(result.data_ptr(), result.tensor_size_in_bytes()) if result.shape() else b""
        )
        return np.frombuffer(bytearray(content), foreign_dtype(own)).reshape(result.shape())


def _foreign(ports: Sequence[Any]) -> dict[str, tuple[str, int]]:
    found = {port.name: _FOREIGN[port.type] for port in ports if port.type in _FOREIGN}
    for own, _number in found.values():
        foreign_dtype(own)
    return found
