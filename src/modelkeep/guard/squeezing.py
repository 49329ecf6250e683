"""Feature squeezing: a model should be about as sure of a coarser form of an input.

Small, fitted changes of an input rarely survive fewer levels or a smoothing filter; what the input
shows does. Each squeezer is a rule of its own and runs the model once more.
Source: Xu, Evans, Qi, "Feature Squeezing", NDSS 2018; spec/guard-v1.md, "Squeezing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Array

# Runs the model: arrays by input name -> arrays by output name.
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# Axes along which neighbours are alike; channels and samples are not.
_NEIGHBOURS = "HWT"
# Places that are put in order, two at a time, one pair after the other; then place 4 holds the median of
# nine. Source: Smith, "Implementing median filters in XC4000E FPGAs", 1996.
_LOWER = (1, 4, 7, 0, 3, 6, 1, 4, 7, 0, 5, 4, 3, 1, 2, 4, 4, 6, 4)
_HIGHER = (2, 5, 8, 1, 4, 7, 2, 5, 8, 3, 8, 7, 6, 4, 5, 7, 2, 4, 2)
_MEDIAN_OF_NINE = tuple(zip(_LOWER, _HIGHER, strict=True))
_MEDIAN_OF_THREE = ((0, 1), (1, 2), (0, 1))


def can_squeeze(layout: Layout) -> bool:
    """Returns whether an input can be squeezed: the features of a vector have no common levels."""
    return not layout.is_vector


def squeezed(inputs: Mapping[str, Array], layouts: Iterable[Layout], squeezer: str) -> dict[str, Array]:
    """Returns inputs of which every image and series is squeezed, in their own types.

    Args:
        inputs: arrays by input name, without `Layout.fault`; they are not changed.
        layouts: how to read them.
        squeezer: one of `SQUEEZERS`.
    """
    squeeze = SQUEEZERS[squeezer]
    changed = {layout.name: squeeze(inputs[layout.name], layout) for layout in layouts if can_squeeze(layout)}
    return {**inputs, **changed}


def _depth(array: Array, layout: Layout, *, bits: int) -> Array:
    """Rounds to 2^bits levels from the low to the high end of the range."""
    steps, extent = 2**bits - 1, layout.high - layout.low
    with np.errstate(all="ignore"):
        shares = ((array.astype(np.float32) - np.float32(layout.low)) / np.float32(extent)).clip(0, 1)
        return _as(np.rint(shares * steps) * np.float32(extent / steps) + np.float32(layout.low), array.dtype)


def _median(array: Array, layout: Layout) -> Array:
    """Puts the median of 3 x 3 elements, or of 3 in time, in the place of each; edges repeat."""
    axes = _neighbouring(layout)
    shifted = [array]
    for axis in axes:
        shifted = [each for around in shifted for each in _around(around, axis)]
    for low, high in _MEDIAN_OF_NINE if len(axes) == 2 else _MEDIAN_OF_THREE:
        pair = shifted[low], shifted[high]
        shifted[low], shifted[high] = np.minimum(*pair), np.maximum(*pair)
    return np.ascontiguousarray(shifted[len(shifted) // 2])


def _mean(array: Array, layout: Layout) -> Array:
    """Puts the mean of 3 x 3 elements, or of 3 in time, in the place of each; edges repeat."""
    values: Array = array.astype(np.float32)
    with np.errstate(all="ignore"):
        for axis in _neighbouring(layout):
            before, here, after = _around(values, axis)
            values = (before + here + after) / np.float32(3)
    return _as(values, array.dtype)


def _neighbouring(layout: Layout) -> list[int]:
    return [place for place, axis in enumerate(layout.axes) if axis in _NEIGHBOURS]


def _around(array: Array, axis: int) -> tuple[Array, Array, Array]:
    """Returns an array moved by one place along an axis, as it is, and moved the other way."""
    places = np.arange(array.shape[axis])
    before, after = np.maximum(places - 1, 0), np.minimum(places + 1, places[-1])
    return array.take(before, axis), array, array.take(after, axis)


def _as(values: Array, kind: np.dtype[Any]) -> Array:
    if kind.kind in "iu":
        values = np.rint(values)
    return np.ascontiguousarray(values.astype(kind))


SQUEEZERS: Mapping[str, Callable[[Array, Layout], Array]] = {
    "depth-4": partial(_depth, bits=4),
    "depth-5": partial(_depth, bits=5),
    "mean": _mean,
    "median": _median,
}
