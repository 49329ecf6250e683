"""How the axes of an input are to be read, and cutting an input into frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from modelkeep.contract import TensorContract
from modelkeep.errors import UsageError
from modelkeep.guard.numbers import Array

# N: samples, H: rows, W: columns, T: time, C: channels, F: features.
LAYOUTS = ("HW", "NHW", "HWC", "CHW", "NHWC", "NCHW", "T", "NT", "TC", "CT", "NTC", "NCT", "F", "NF")
# What is said instead of a layout for an input that the guard does not look at, as a sample rate.
LEFT_OUT = "none"
_CHOICES = f"{', '.join(LAYOUTS)}; {LEFT_OUT} leaves the input out"
MOST_CHANNELS = 4096
# What the channels of an image are, where nobody says which axis they are. A single axis before two
# others could be a batch as well, so it is not taken for channels.
_IMAGE_CHANNELS = (1, 3, 4)
_FRAME_AXES = "NHWC"
_SAME_AXIS = str.maketrans("TF", "WC")
_LEAST_SPREAD = 0.001  # of a column's usual value
_SMALLEST_SCALE = 2.0**-20


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read one input.

    Attributes:
        name: the input's name.
        axes: one of `LAYOUTS`. Images have rows and columns, series one row of points in time, and
            vectors one point whose channels are the features.
        channels: number of channels or features.
        low: lower end of the expected range.
        high: upper end, above `low`; both single-precision numbers.
        names: what people call the channels or columns, or none.
        centres: of a vector, a usual value of each column; what its linear scale begins at.
        scales: of a vector, how far the values of each column usually are apart.
    """

    name: str
    axes: str
    channels: int
    low: float
    high: float
    names: tuple[str, ...] = ()
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    @property
    def is_vector(self) -> bool:
        """Whether the input is a plain list of features."""
        return "F" in self.axes

    def fault(self, value: object) -> str | None:
        """Returns why `value` cannot be read this way, in words, or None; never raises."""
        if type(value) is not np.ndarray:
            return "not a plain numpy.ndarray"
        if value.dtype.kind not in "biuf" or not value.dtype.isnative or value.dtype.itemsize > 8:
            return "elements that are not plain numbers in native byte order"
        if value.ndim != len(self.axes) or value.size == 0:
            return f"not of rank {len(self.axes)}, or empty"
        place = _reading(self.axes).channel
        if (1 if place is None else value.shape[place]) != self.channels:
            return f"not of {self.channels} channels"
        return None

    def frames(self, array: Array) -> Array:
        """Returns a view [samples, rows, columns, channels] of an array without `fault`."""
        order, places, _ = _reading(self.axes)
        return array.transpose(order)[places]


class _Reading(NamedTuple):
    """How arrays with some axes become frames: order of axes, what is done to each, the axis of channels."""

    order: tuple[int, ...]
    places: tuple[slice | None, ...]
    channel: int | None


@lru_cache(maxsize=len(LAYOUTS))
def _reading(axes: str) -> _Reading:
    axes = axes.translate(_SAME_AXIS)
    order = tuple(axes.index(axis) for axis in _FRAME_AXES if axis in axes)
    # An axis that is not there has one place.
    places = tuple(slice(None) if axis in axes else None for axis in _FRAME_AXES)
    return _Reading(order, places, axes.index("C") if "C" in axes else None)


def plan(
    name: str,
    sample: object,
    contract: TensorContract | None = None,
    axes: str | None = None,
    names: Sequence[str] = (),
    early: Sequence[object] = (),
) -> Layout:
    """Returns the layout of an input, from a first sample where nothing else says it.

    Args:
        name: the input's name.
        sample: an array as the model takes it.
        contract: what the model says about the input.
        axes: one of `LAYOUTS`, or None to guess.
        names: what people call the channels or columns, or none.
        early: the first samples, for the linear scale of vectors; none for this sample alone.

    Raises:
        UsageError: the sample is not an array of numbers, its layout cannot be guessed, or the names do
            not fit it.
    """
    if not isinstance(sample, np.ndarray) or sample.dtype.kind not in "biuf" or sample.size == 0:
        raise UsageError(f"input {name!r}: a sample is not an array of numbers")
    axes = axes or _guess(name, sample.shape)
    if axes not in LAYOUTS:
        raise UsageError(f"input {name!r}: no layout {axes!r}", hint=f"layouts: {_CHOICES}")
    if sample.ndim != len(axes):
        raise UsageError(f"input {name!r}: layout {axes} does not fit the shape {sample.shape}")
    channel_axis = _reading(axes).channel
    channels = 1 if channel_axis is None else sample.shape[channel_axis]
    if channels > MOST_CHANNELS:
        raise UsageError(f"input {name!r}: more than {MOST_CHANNELS} channels or features")
    if names and (len(names) != channels or len(set(names)) != channels):
        raise UsageError(
            f"input {name!r}: {len(names)} names for {channels} channels or columns, or one twice"
        )
    found = Layout(name, axes, channels, *_range(name, sample, contract), tuple(names))
    if not found.is_vector:
        return found
    rows = [each for each in early if isinstance(each, np.ndarray) and found.fault(each) is None] or [sample]
    centres, scales = _linear_scales(np.concatenate([each.reshape(-1, channels) for each in rows]))
    return replace(found, centres=centres, scales=scales)


def _linear_scales(rows: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns the median of every column, and how far its quartiles are apart."""
    numbers = np.where(np.isfinite(rows), rows, 0).astype(np.float64)
    low, centres, high = np.quantile(numbers, (0.25, 0.5, 0.75), axis=0)
    # A column that stands still in these samples may move in others, a little.
    scales = np.maximum(high - low, np.maximum(np.abs(centres) * _LEAST_SPREAD, _SMALLEST_SCALE))
    return tuple(centres.tolist()), tuple(scales.tolist())


def _guess(name: str, shape: tuple[int, ...]) -> str:
    by_rank = {1: ("F",), 2: ("NF",), 3: ("HWC",), 4: ("NHWC", "NCHW")}
    for axes in by_rank.get(len(shape), ()):
        if "C" not in axes or shape[axes.index("C")] in _IMAGE_CHANNELS:
            return axes
    raise UsageError(
        f"input {name!r}: the shape {shape} does not tell its layout",
        hint=f"say --layout {name}=AXES, one of {_CHOICES}",
    )


def _range(name: str, sample: Array, contract: TensorContract | None) -> tuple[float, float]:
    low, high = _natural_range(sample)
    if contract is not None:
        low = low if contract.minimum is None else contract.minimum
        high = high if contract.maximum is None else contract.maximum
    low, high = float(np.float32(low)), float(np.float32(high))
    if not low < high:
        raise UsageError(f"input {name!r}: its range from {low} to {high} is empty")
    return low, high


def _natural_range(sample: Array) -> tuple[float, float]:
    if sample.dtype.kind == "b":
        return 0.0, 1.0
    if sample.dtype.kind in "iu" and sample.dtype.itemsize == 1:
        return float(np.iinfo(sample.dtype).min), float(np.iinfo(sample.dtype).max)
    finite = sample[np.isfinite(sample)].astype(np.float64)
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    for end in (1.0, 255.0):
        if low >= 0 and end / 255 < high <= end:
            return 0.0, end
    # A power of two does not depend on which sample came first, unless that one is odd.
    end = 2.0 ** min(100, math.ceil(math.log2(max(-low, high, 2.0**-100))) + 1)
    return -end, end
