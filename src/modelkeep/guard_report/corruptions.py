"""What weather, lenses and transmission do to an input. After Hendrycks and Dietterich, ICLR 2019."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.layout import Layout

Values = NDArray[np.float64]
# Values from 0 to 1, axes of space or time, strength from 0 to 1, chance.
_Corrupt = Callable[[Values, tuple[int, ...], float, np.random.Generator], Values]

_WIDEST = 4


def corrupted(values: Values, layout: Layout, random: np.random.Generator) -> Values:
    """Returns an input after one kind of corruption of random strength, within the range."""
    extent = layout.high - layout.low
    axes = tuple(place for place, axis in enumerate(layout.axes) if axis in "HWT")
    # Without an axis along which neighbours are alike, there is nothing to blur or to move.
    kinds = (*_POINTWISE, *(_ALONG_AXES if axes else ()))
    corrupt = kinds[int(random.integers(len(kinds)))]
    shares = ((values - layout.low) / extent).clip(0, 1)
    return layout.low + extent * corrupt(shares, axes, float(random.uniform(0.05, 1)), random).clip(0, 1)


def _brighter(values: Values, _axes: tuple[int, ...], strength: float, random: np.random.Generator) -> Values:
    return np.asarray(values + 0.5 * strength * random.choice([-1, 1]))


def _flatter(values: Values, _axes: tuple[int, ...], strength: float, _random: np.random.Generator) -> Values:
    return np.asarray(values + 0.9 * strength * (values.mean() - values))


def _bent(values: Values, _axes: tuple[int, ...], strength: float, random: np.random.Generator) -> Values:
    return np.asarray(values ** (2.0 ** (2 * strength * random.choice([-1, 1]))))


def _grain(values: Values, _axes: tuple[int, ...], strength: float, random: np.random.Generator) -> Values:
    return values + random.normal(0, 0.2 * strength, values.shape)


def _specks(values: Values, _axes: tuple[int, ...], strength: float, random: np.random.Generator) -> Values:
    hit = random.random(values.shape) < 0.1 * strength
    return np.where(hit, random.choice([0.0, 1.0], values.shape), values)


def _blurred(values: Values, axes: tuple[int, ...], strength: float, _random: np.random.Generator) -> Values:
    reach = max(1, round(_WIDEST * strength / 2))
    steps = range(-reach, reach + 1)
    for axis in axes:
        values = np.mean([np.roll(values, step, axis) for step in steps], axis=0)
    return values


def _moved(values: Values, axes: tuple[int, ...], strength: float, random: np.random.Generator) -> Values:
    by = [random.choice([-1, 1]) * max(1, round(0.2 * strength * values.shape[axis])) for axis in axes]
    return np.roll(values, by, axes)


_POINTWISE: tuple[_Corrupt, ...] = (_brighter, _flatter, _bent, _grain, _specks)
_ALONG_AXES: tuple[_Corrupt, ...] = (_blurred, _moved)
