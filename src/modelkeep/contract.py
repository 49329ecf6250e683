"""The input contract: what a model accepts, as pure data.

Derived from the model when it is sealed, adjusted by the publisher if wished, signed with
the model, and checked before every run. Source: spec/bundle-v1.md, "Input contract".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

from modelkeep.canonical import LARGEST_INTEGER
from modelkeep.errors import MalformedError, UsageError

# A dimension is a fixed length, or None where the model leaves it free.
Dimension = int | None

# Element type -> bytes of an element; those that NumPy lacks are known to it through ml_dtypes.
FLOAT8_DTYPES = MappingProxyType(
    dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"), 1)
)
FLOAT_DTYPES = MappingProxyType(
    {
        **FLOAT8_DTYPES,
        **{"float16": 2, "float32": 4, "float64": 8, "bfloat16": 2, "complex64": 8, "complex128": 16},
    }
)
INTEGER_DTYPES = MappingProxyType(
    {f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
# Text has at least a byte.
DTYPES = MappingProxyType({**FLOAT_DTYPES, **INTEGER_DTYPES, "bool": 1, "string": 1})
KEY_DTYPES = ("int64", "string")
DEFAULT_MAXIMUM_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the integers of an input stand for real numbers: ``scale * (integer - zero_point)``."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class TensorContract:
    """What one input must look like.

    Attributes:
        name: input name as the runtime knows it.
        dtype: element type, NumPy's or ml_dtypes' name for it (``string`` for text tensors).
        shape: fixed lengths, None where free; None instead of a tuple when even the rank is free.
        finite: refuse NaN and infinities.
        minimum: lowest value accepted, or None. It counts as the nearest value of the element type.
        maximum: highest value accepted, or None; likewise.
        maximum_bytes: largest size of the whole input in bytes.
        empty: accept arrays without elements, and sequences and maps without entries.
        optional: the input may be missing, or None.
        sequence: the input is a list, and all of the above holds for each of its parts.
        keys: element type of a map's keys, a member of `KEY_DTYPES`, where the input is a map from
            keys to single values of `dtype`; None where it is an array.
        quantization: what integers stand for, where the model says it; not checked.
    """

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None
    finite: bool = True
    minimum: float | None = None
    maximum: float | None = None
    maximum_bytes: int = DEFAULT_MAXIMUM_BYTES
    empty: bool = False
    optional: bool = False
    sequence: bool = False
    keys: str | None = None
    quantization: Quantization | None = None

    @property
    def smallest_bytes(self) -> int:
        """Size in bytes of the smallest array that the shape allows; text counts one byte an element."""
        lengths = [1 if length is None else length for length in self.shape or ()]
        return math.prod(lengths) * DTYPES[self.dtype]

    @property
    def may_be_empty(self) -> bool:
        """Whether arrays without elements pass: allowed, or all that the shape leaves."""
        return self.empty or 0 in (self.shape or ())

    def adjust(self, changes: Mapping[str, object]) -> TensorContract:
        """Returns the contract as the publisher wants it.

        Args:
            changes: any of `shape` (lengths for free dimensions), `minimum`, `maximum`, which accept
                less; and `finite`, `empty`, `optional` and `maximum_bytes`, which may also accept more:
                what only the publisher knows of a model.

        Raises:
            UsageError: another key, a value of the wrong kind, or a change that the model does not take.
        """
        if not isinstance(changes, Mapping) or not all(key in _READERS for key in changes):
            raise self._refusal("a change is not one that may be made")
        values: dict[str, Any] = {key: _READERS[key](self, value) for key, value in changes.items()}
        result = replace(self, **values)
        result._check_bounds()
        if result.smallest_bytes > result.maximum_bytes:
            raise self._refusal(f"maximum_bytes is below the {result.smallest_bytes} that the shape needs")
        return result

    def with_room(self) -> TensorContract:
        """Returns the contract with a size limit that the fixed dimensions alone do not exceed.

        Raises:
            MalformedError: they exceed what any array can have.
        """
        smallest = self.smallest_bytes
        if smallest > LARGEST_INTEGER:
            raise MalformedError(f"input {self.name!r} is impossibly large")
        return replace(self, maximum_bytes=max(self.maximum_bytes, smallest))

    def _read_shape(self, value: object) -> tuple[Dimension, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self._refusal("shape must be a list of lengths and nulls")
        shape = tuple(None if length is None else self._read_length(length) for length in value)
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

    def _read_length(self, value: object) -> int:
        count = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else -1
        if not 0 <= count <= LARGEST_INTEGER:
            raise self._refusal("lengths and maximum_bytes must be integers, and not negative")
        return count

    def _read_switch(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise self._refusal("finite, empty and optional must be true or false")
        return value

    def _read_optional(self, value: object) -> bool:
        if self._read_switch(value) and not self.optional:
            raise self._refusal("the model has no value of its own for it, so it cannot be optional")
        return bool(value)

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
        "maximum_bytes": TensorContract._read_length,
        "finite": TensorContract._read_switch,
        "empty": TensorContract._read_switch,
        "optional": TensorContract._read_optional,
    }
)


@dataclass(frozen=True, slots=True)
class Contract:
    """All inputs of a model, in the order in which the model lists them.

    Attributes:
        inputs: what callers may give.
        defaults: further inputs, for which the model has values of its own. Callers give them only where
            the publisher has let them in; many models list all their weights here.
    """

    inputs: tuple[TensorContract, ...]
    defaults: tuple[TensorContract, ...] = ()

    def by_name(self) -> Mapping[str, TensorContract]:
        """Returns the inputs keyed by name."""
        return {tensor.name: tensor for tensor in self.inputs}

    def adjust(self, changes: Mapping[str, Mapping[str, object]]) -> Contract:
        """Returns the contract as the publisher wants it; see `TensorContract.adjust`.

        Args:
            changes: input name -> what to change about it. An input of `defaults` is let in by being
                named, for example with ``{"optional": True}``.

        Raises:
            UsageError: an input that the model does not have, or a change that may not be made.
        """
        if not isinstance(changes, Mapping):
            raise UsageError("contract: not a mapping of input names to changes")
        inputs = (*self.inputs, *(tensor for tensor in self.defaults if tensor.name in changes))
        strangers = [name for name in changes if name not in {tensor.name for tensor in inputs}]
        if strangers:
            names = ", ".join(tensor.name for tensor in (*self.inputs, *self.defaults)[:_MOST_NAMES])
            raise UsageError(
                "contract: a change names no input of the model", hint=f"inputs: {names or 'none'}"
            )
        return Contract(
            tuple(
                tensor.adjust(changes[tensor.name]) if tensor.name in changes else tensor for tensor in inputs
            )
        )

    @staticmethod
    def declare(changes: Mapping[str, Mapping[str, object]]) -> Contract:
        """Returns a contract that the publisher alone states, for a format that says nothing of inputs.

        Args:
            changes: input name -> ``dtype``, and what `TensorContract.adjust` takes.

        Raises:
            UsageError: a dtype is missing or unknown, or something else is wrong.
        """
        if not isinstance(changes, Mapping):
            raise UsageError("contract: not a mapping of input names to what they must look like")
        return Contract(tuple(_declared(name, each) for name, each in changes.items()))


# As many as fit into a message.
_MOST_NAMES = 20


def _declared(name: str, facts: Mapping[str, object]) -> TensorContract:
    if not isinstance(facts, Mapping) or facts.get("dtype") not in DTYPES:
        raise UsageError(
            f"contract of input {name!r}: this format does not say what its inputs are, so dtype is needed",
            hint=f"one of {', '.join(sorted(DTYPES))}",
        )
    rest = {key: value for key, value in facts.items() if key != "dtype"}
    # Whether it is needed, only the publisher knows.
    tensor = TensorContract(name, str(facts["dtype"]), None, optional=True)
    return tensor.adjust({"optional": False, **rest})
