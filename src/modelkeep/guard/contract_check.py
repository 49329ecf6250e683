"""Whether inputs keep a model's contract: exact checks, from the cheapest to the dearest.

A runtime trusts what it is handed: it reads swapped bytes as numbers, text of the wrong kind
beyond its end, and accepts NaN everywhere. Hence only plain `numpy.ndarray` objects pass, in
exactly the element type, shape and range that the contract names.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.contract import FLOAT_DTYPES, Contract, Dimension, TensorContract
from modelkeep.finding import Finding

Array = NDArray[Any]

_CHUNK = 2**16  # elements looked at together where a temporary copy is needed
_LONGEST_NAME = 200


class ContractCheck:
    """Holds inputs against a contract.

    Attributes:
        contract: what inputs must look like.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def findings(self, inputs: Mapping[str, object]) -> tuple[Finding, ...]:
        """Returns how `inputs` break the contract: at most one finding per input, the cheapest to find.

        Findings come in the order of the contract, then unexpected inputs by name. Nothing is copied
        or changed, and no object makes it raise. Subclasses of `ndarray` do not pass: a masked array
        hides values, and the file behind a `memmap` can change after the check.

        Hand the very same objects to the runtime. A lazy mapping may give others the next time it is
        asked, so make a `dict` of it first.
        """
        pairs = _pairs(inputs)
        if pairs is None:
            return (Finding("type", "*", "a mapping of input names to arrays", _kind(inputs)),)
        # Only true strings become keys: a foreign object could compare equal to a name, or raise.
        given = {name: value for name, value in pairs if type(name) is str}
        strangers = [name for name, _ in pairs if type(name) is not str]
        faults = [_fault(tensor, given) for tensor in self.contract.inputs]
        present = (fault for fault in faults if fault is not None)
        return (*present, *_unexpected(self.contract, given, strangers))


def _pairs(inputs: object) -> list[tuple[object, object]] | None:
    try:
        return [(name, inputs[name]) for name in inputs] if isinstance(inputs, Mapping) else None
    except Exception:  # a foreign object may raise anything at all
        return None


def _unexpected(
    contract: Contract, given: Mapping[str, object], strangers: list[object]
) -> Iterator[Finding]:
    known = contract.by_name()
    expected = ", ".join(known) or "no inputs"
    for name in sorted(given.keys() - known.keys()):
        yield Finding("unexpected", _printable(name), expected, "an input of this name")
    for kind in sorted(_kind(name) for name in strangers):
        yield Finding("unexpected", "*", expected, f"a name of type {kind}")


def _fault(tensor: TensorContract, given: Mapping[str, object]) -> Finding | None:
    if tensor.name not in given:
        return Finding("missing", tensor.name, f"a {tensor.dtype} array", "nothing")
    value = given[tensor.name]
    if type(value) is not np.ndarray:
        return Finding("type", tensor.name, "a plain numpy.ndarray", _kind(value))
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
    if expected == "bfloat16":  # known to NumPy only through packages that register it
        return array.dtype.name == expected and array.dtype.itemsize == 2
    return array.dtype.newbyteorder("=") == np.dtype(expected)


def _shape_fault(tensor: TensorContract, array: Array) -> Finding | None:
    found = str(array.shape)
    if array.size == 0:
        return Finding("shape", tensor.name, "at least one element", found)
    if tensor.shape is None or _fits(tensor.shape, array.shape):
        return None
    expected = _describe(tensor.shape)
    if len(tensor.shape) != array.ndim:
        expected, found = f"rank {len(tensor.shape)}, {expected}", f"rank {array.ndim}, {found}"
        return Finding("rank", tensor.name, expected, found)
    axes = _permutation(tensor.shape, array.shape)
    if axes is None:
        return Finding("shape", tensor.name, expected, found)
    return Finding("layout", tensor.name, expected, f"{found}: axes look permuted, transpose{axes} fits")


def _fits(expected: tuple[Dimension, ...], found: tuple[int, ...]) -> bool:
    if len(expected) != len(found):
        return False
    return all(length in (None, actual) for length, actual in zip(expected, found, strict=True))


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
        return _size_fault(tensor, array.nbytes)
    if tensor.dtype == "string":
        return _text_fault(tensor, array)
    return _number_fault(tensor, array)


def _size_fault(tensor: TensorContract, size: int) -> Finding:
    return Finding("size", tensor.name, f"at most {tensor.maximum_bytes} bytes", f"at least {size} bytes")


def _text_fault(tensor: TensorContract, array: Array) -> Finding | None:
    try:
        size = _text_bytes(array, tensor.maximum_bytes)
    except (ValueError, SystemError):  # the latter: code points that Unicode does not have
        expected = "text without NUL characters and lone surrogates"
        return Finding("type", tensor.name, expected, "an element that is something else")
    return _size_fault(tensor, size) if size > tensor.maximum_bytes else None


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


def _number_fault(tensor: TensorContract, array: Array) -> Finding | None:
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
    lowest = -math.inf if tensor.minimum is None else tensor.minimum
    highest = math.inf if tensor.maximum is None else tensor.maximum
    # A bool array over foreign memory can hold bytes that are neither 0 nor 1.
    return (max(lowest, 0), min(highest, 1)) if tensor.dtype == "bool" else (lowest, highest)


def _extremes(part: Array, *, nan_counts: bool) -> tuple[float, float]:
    """Returns the lowest and highest number; either is NaN if any is, provided that `nan_counts`."""
    lower, higher = (np.minimum, np.maximum) if nan_counts else (np.fmin, np.fmax)
    with np.errstate(all="ignore"):
        return lower.reduce(part, axis=None).item(), higher.reduce(part, axis=None).item()


def _parts(array: Array) -> Iterator[Array]:
    """Yields views of the numbers in `array`, real and imaginary parts apart; bfloat16 decoded by chunks."""
    if array.dtype.name == "bfloat16":
        for bits in _chunks(array.view(np.uint16)):
            yield (bits.astype(np.uint32) << 16).view(np.float32)
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


def _kind(value: object) -> str:
    # Asked of `type` itself, since a metaclass can make `__name__` raise or lie.
    return _printable(type.__dict__["__name__"].__get__(type(value)))


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]!a}"
