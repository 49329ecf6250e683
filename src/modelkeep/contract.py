"""The input contract: what a model accepts, as pure data.

Derived from the model when it is sealed, tightened by the publisher if wished, signed with
the model, and checked before every run. Source: spec/bundle-v1.md, "Input contract".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Contract:
    """All inputs of a model, in the order in which the model lists them."""

    inputs: tuple[TensorContract, ...]

    def by_name(self) -> Mapping[str, TensorContract]:
        """Returns the inputs keyed by name."""
        return {tensor.name: tensor for tensor in self.inputs}
