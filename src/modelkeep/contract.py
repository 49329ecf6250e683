"""The input contract: what a model accepts, as pure data.

Derived from the model when it is sealed, tightened by the publisher if wished, signed with
the model, and checked before every run. Source: spec/bundle-v1.md, "Input contract".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.errors import UsageError

# A dimension is a fixed length, or None where the model leaves it free.
Dimension = int | None

FLOAT_DTYPES = frozenset({"float16", "float32", "float64", "bfloat16", "complex64", "complex128"})
INTEGER_DTYPES = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DTYPES = FLOAT_DTYPES | INTEGER_DTYPES | {"bool", "string"}
DEFAULT_MAXIMUM_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class TensorContract:
    """What one input must look like.

    Attributes:
        name: input name as the runtime knows it.
        dtype: element type, NumPy's name for it (``string`` for text tensors).
        shape: fixed lengths, None where free; None instead of a tuple when even the rank is free.
        finite: refuse NaN and infinities.
        minimum: lowest value accepted, or None.
        maximum: highest value accepted, or None.
        maximum_bytes: largest size of the whole tensor in bytes.
    """

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None
    finite: bool = True
    minimum: float | None = None
    maximum: float | None = None
    maximum_bytes: int = DEFAULT_MAXIMUM_BYTES

    @property
    def smallest_bytes(self) -> int:
        """Size in bytes of the smallest tensor that the shape allows; text counts one byte an element."""
        bits = re.search(r"\d+$", self.dtype)
        return math.prod(length or 1 for length in self.shape or ()) * (int(bits[0]) // 8 if bits else 1)

    def tighten(self, changes: Mapping[str, object]) -> TensorContract:
        """Returns a contract that accepts less.

        Args:
            changes: any of `shape` (lengths for free dimensions), `minimum`, `maximum` and
                `maximum_bytes`; the last may also be raised, since its default is arbitrary.

        Raises:
            UsageError: another key, a value of the wrong kind, or a change that loosens.
        """
        if not isinstance(changes, Mapping) or not all(key in _READERS for key in changes):
            raise self._refusal("a change is not one that may be made")
        values: dict[str, Any] = {key: _READERS[key](self, value) for key, value in changes.items()}
        result = replace(self, **values)
        result._check_bounds()
        if result.smallest_bytes > result.maximum_bytes:
            raise self._refusal(f"maximum_bytes is below the {result.smallest_bytes} that the shape needs")
        return result

    def _read_shape(self, value: object) -> tuple[Dimension, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self._refusal("shape must be a list of lengths and nulls")
        shape = tuple(None if length is None else self._read_count(length) for length in value)
        if self.shape is None:
            return shape
        if len(shape) != len(self.shape):
            raise self._refusal(f"shape must keep its rank of {len(self.shape)}")
        if any(old is not None and new != old for old, new in zip(self.shape, shape, strict=True)):
            raise self._refusal("shape must keep the lengths that the model fixes")
        return shape

    def _read_minimum(self, value: object) -> float:
        minimum = self._read_bound(value)
        if self.minimum is not None and minimum < self.minimum:
            raise self._refusal(f"minimum is already {self.minimum}")
        return minimum

    def _read_maximum(self, value: object) -> float:
        maximum = self._read_bound(value)
        if self.maximum is not None and maximum > self.maximum:
            raise self._refusal(f"maximum is already {self.maximum}")
        return maximum

    def _read_bound(self, value: object) -> float:
        if self.dtype in _WITHOUT_ORDER:
            raise self._refusal(f"a minimum or maximum has no meaning for {self.dtype}")
        if not isinstance(value, Real) or isinstance(value, bool):
            raise self._refusal("minimum and maximum must be numbers")
        try:
            bound = float(value)
        except OverflowError:
            bound = math.inf
        # An integer that a double cannot hold would move the bound silently.
        if not math.isfinite(bound) or bound != value:
            raise self._refusal("minimum and maximum must be finite numbers of double precision")
        return bound

    def _read_count(self, value: object) -> int:
        count = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
        if not 0 < count <= LARGEST_INTEGER:
            raise self._refusal("lengths and maximum_bytes must be positive integers")
        return count

    def _check_bounds(self) -> None:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise self._refusal("minimum is above maximum")

    def _refusal(self, problem: str) -> UsageError:
        return UsageError(
            f"contract of input {self.name!r}: {problem}", hint=f"what may be changed: {', '.join(_READERS)}"
        )


_WITHOUT_ORDER = frozenset({"bool", "string", "complex64", "complex128"})
_READERS = MappingProxyType(
    {
        "shape": TensorContract._read_shape,
        "minimum": TensorContract._read_minimum,
        "maximum": TensorContract._read_maximum,
        "maximum_bytes": TensorContract._read_count,
    }
)


@dataclass(frozen=True, slots=True)
class Contract:
    """All inputs of a model, in the order in which the model lists them."""

    inputs: tuple[TensorContract, ...]

    def by_name(self) -> Mapping[str, TensorContract]:
        """Returns the inputs keyed by name."""
        return {tensor.name: tensor for tensor in self.inputs}

    def tighten(self, changes: Mapping[str, Mapping[str, object]]) -> Contract:
        """Returns a contract that accepts less; see `TensorContract.tighten`.

        Args:
            changes: input name -> what to change about it.

        Raises:
            UsageError: an input that the model does not have, or a change that may not be made.
        """
        names = self.by_name()
        if not isinstance(changes, Mapping) or not all(name in names for name in changes):
            raise UsageError(
                "contract: a change names no input of the model", hint=f"inputs: {', '.join(names) or 'none'}"
            )
        return Contract(
            tuple(
                tensor.tighten(changes[tensor.name]) if tensor.name in changes else tensor
                for tensor in self.inputs
            )
        )
