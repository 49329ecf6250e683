"""Whether an array keeps the contract of its input: element type, shape, size, values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np

from modelkeep.contract import FLOAT8_DTYPES, FLOAT_DTYPES, Dimension, TensorContract
from modelkeep.dtypes import FOREIGN, bits, is_foreign
from modelkeep.finding import Finding
from modelkeep.guard.compiled import compiled
from modelkeep.guard.numbers import Array
from modelkeep.guard.words import kind

_CHUNK = 2**16  # elements looked at together where a temporary copy is needed


def array_fault(tensor: TensorContract, value: object) -> Finding | None:
    """Returns the first thing that is wrong with what was given for `tensor`, or None."""
    if type(value) is not np.ndarray:
        return Finding("type", tensor.name, "a plain numpy.ndarray", kind(value))
    return _dtype_fault(tensor, value) or _shape_fault(tensor, value) or _value_fault(tensor, value)


def _dtype_fault(tensor: TensorContract, array: Array) -> Finding | None:
    if not _is_dtype(array, tensor.dtype):
        return Finding("dtype", tensor.name, tensor.dtype, array.dtype.name)
    if not array.dtype.isnative:
        return Finding("byte-order", tensor.name, "native byte order", "swapped byte order")
    return None


def _is_dtype(array: Array, expected: str) -> bool:
    """Returns whether the elements are of the expected type, in whichever byte order."""
    if expected == "string":
        return array.dtype.kind in "UO"
    if expected in FOREIGN:
        return array.dtype.name == expected and is_foreign(array)
    return array.dtype == _dtype(expected) or array.dtype.newbyteorder("=") == _dtype(expected)


# Looking a name up costs more than all other checks of an array together.
_dtype = cache(np.dtype)


def _shape_fault(tensor: TensorContract, array: Array) -> Finding | None:
    if array.size == 0 and not tensor.may_be_empty:
        return Finding("shape", tensor.name, "at least one element", str(array.shape))
    if tensor.shape is None or _fits(tensor.shape, array.shape):
        return None
    expected, found = _describe(tensor.shape), str(array.shape)
    if len(tensor.shape) != array.ndim:
        expected, found = f"rank {len(tensor.shape)}, {expected}", f"rank {array.ndim}, {found}"
        return Finding("rank", tensor.name, expected, found)
    axes = _permutation(tensor.shape, array.shape)
    if axes is None:
        return Finding("shape", tensor.name, expected, found)
    return Finding("layout", tensor.name, expected, f"{found}: axes look permuted, transpose{axes} fits")


def _fits(expected: tuple[Dimension, ...], found: tuple[int, ...]) -> bool:
    if expected == found:
        return True
    return len(expected) == len(found) and all(
        length in (None, actual) for length, actual in zip(expected, found, strict=True)
    )


def _permutation(expected: tuple[Dimension, ...], found: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the order of axes that makes `found` fit `expected`, or None when there is none."""
    fixed = Counter(length for length in expected if length is not None)
    if fixed - Counter(found):
        return None
    # Fixed lengths choose their axes first, free ones share what is left.
    order = sorted(range(len(expected)), key=lambda place: expected[place] is None)
    unused = list(range(len(found)))
    axes: dict[int, int] = {}
    for place in order:
        axes[place] = next(axis for axis in unused if expected[place] in (None, found[axis]))
        unused.remove(axes[place])
    return tuple(axes[place] for place in range(len(expected)))


def _value_fault(tensor: TensorContract, array: Array) -> Finding | None:
    if array.nbytes > tensor.maximum_bytes:
        return size_fault(tensor, array.nbytes)
    if tensor.dtype == "string":
        return _text_fault(tensor, array)
    return number_fault(tensor, array) if array.size else None


def size_fault(tensor: TensorContract, size: int) -> Finding:
    """Returns the finding for an input of more bytes than it may have."""
    return Finding("size", tensor.name, f"at most {tensor.maximum_bytes} bytes", f"at least {size} bytes")


def _text_fault(tensor: TensorContract, array: Array) -> Finding | None:
    try:
        size = _text_bytes(array, tensor.maximum_bytes)
    except (ValueError, SystemError):  # the latter: code points that Unicode does not have
        expected = "text without NUL characters and lone surrogates"
        return Finding("type", tensor.name, expected, "an element that is something else")
    return size_fault(tensor, size) if size > tensor.maximum_bytes else None


def _text_bytes(array: Array, enough: int) -> int:
    """Returns the size of all elements in UTF-8, or of the first ones that exceed `enough`.

    Raises:
        ValueError: an element is not text that a runtime takes as it is; they cut it at NUL.
    """
    size = 0
    for item in array.flat:
        if type(item) not in (str, np.str_) or "\0" in item:
            raise ValueError("not text")
        if size + len(item) > enough:
            return size + len(item)
        size += len(item.encode())
    return size


def number_fault(tensor: TensorContract, array: Array) -> Finding | None:
    """Returns what is wrong with the numbers of an array that has any: not finite, or out of bounds."""
    finite = tensor.finite and tensor.dtype in FLOAT_DTYPES
    lowest, highest = _bounds(tensor)
    if not finite and lowest == -math.inf and highest == math.inf:
        return None
    extremes = [number for part in _parts(array) for number in _extremes(part, nan_counts=finite)]
    if finite and not all(math.isfinite(number) for number in extremes):
        return Finding(
            "not-finite", tensor.name, "finite numbers", f"{_count_not_finite(array)} NaN or infinite"
        )
    sides = [
        *(["below"] if any(number < lowest for number in extremes) else []),
        *(["above"] if any(number > highest for number in extremes) else []),
    ]
    if not sides:
        return None
    return Finding("range", tensor.name, f"from {lowest} to {highest}", f"values {' and '.join(sides)}")


def _bounds(tensor: TensorContract) -> tuple[float, float]:
    lowest = -math.inf if tensor.minimum is None else _rounded(tensor.minimum, tensor.dtype)
    highest = math.inf if tensor.maximum is None else _rounded(tensor.maximum, tensor.dtype)
    # A bool array over foreign memory can hold bytes that are neither 0 nor 1.
    return (max(lowest, 0), min(highest, 1)) if tensor.dtype == "bool" else (lowest, highest)


def _rounded(bound: float, dtype: str) -> float:
    """Returns the nearest value of an element type: what clipping to the bound gives there.

    Integers are compared with the bound as it is. Float8 arrays are compared after they were decoded, and a
    bound may lie between two of their values.
    """
    if dtype == "bfloat16":
        return _rounded_to_bfloat16(bound)
    with np.errstate(over="ignore"):
        return float(np.dtype(dtype).type(bound)) if dtype in ("float16", "float32") else bound


def _rounded_to_bfloat16(bound: float) -> float:
    """Returns the nearest multiple of the last place, ties to even; past the largest value, infinity."""
    _fraction, exponent = math.frexp(bound)
    last_place = math.ldexp(1.0, max(exponent - 8, -133))
    value = round(bound / last_place) * last_place
    return math.copysign(math.inf, bound) if abs(value) >= 2.0**128 else value


def _extremes(part: Array, *, nan_counts: bool) -> tuple[float, float]:
    """Returns the lowest and highest number; both are NaN if any is, provided that `nan_counts`."""
    module = compiled()
    # A number alone is no buffer.
    is_plain = part.dtype == np.float32 and part.flags.c_contiguous and part.flags.aligned and part.ndim
    if module is not None and is_plain:
        lowest, highest, has_nan = module.extremes(part)
        return (math.nan, math.nan) if nan_counts and has_nan else (lowest, highest)
    lower, higher = (np.minimum, np.maximum) if nan_counts else (np.fmin, np.fmax)
    with np.errstate(all="ignore"):
        return lower.reduce(part, axis=None).item(), higher.reduce(part, axis=None).item()


def _parts(array: Array) -> Iterator[Array]:
    """Yields the numbers of `array`, real and imaginary parts apart; decoded where NumPy needs it."""
    if array.dtype.name == "bfloat16":
        for chunk in _chunks(bits(array)):
            yield (chunk.astype(np.uint32) << 16).view(np.float32)
    elif array.dtype.name in FLOAT8_DTYPES:
        values = np.arange(256, dtype=np.uint8).view(array.dtype).astype(np.float32)
        for chunk in _chunks(bits(array)):
            yield values[chunk]
    elif array.dtype.kind == "c":
        yield from (array.real, array.imag)
    else:
        yield array.view(np.uint8) if array.dtype.kind == "b" else array


def _count_not_finite(array: Array) -> int:
    chunks = (chunk for part in _parts(array) for chunk in _chunks(part))
    return sum(chunk.size - int(np.count_nonzero(np.isfinite(chunk))) for chunk in chunks)


def _chunks(array: Array) -> Iterator[Array]:
    yield from np.nditer(array, flags=["external_loop", "buffered"], buffersize=_CHUNK)


def _describe(shape: tuple[Dimension, ...]) -> str:
    return "(" + ", ".join("any" if length is None else str(length) for length in shape) + ")"
