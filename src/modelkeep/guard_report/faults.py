"""What goes wrong between a sensor and a model, without anybody meaning harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.layout import Layout

Array = NDArray[Any]
Fault = Callable[[Array, Layout, np.random.Generator], Array]


def faults_for(kind: np.dtype[Any]) -> dict[str, Fault]:
    """Returns by name the faults that an input of a type can have."""
    if kind.kind == "f":
        return _ANY | _LONG | {"one NaN": _one_nan}
    return _ANY | _LONG if kind.itemsize > 1 else _ANY


def _noise(values: Array, _layout: Layout, random: np.random.Generator) -> Array:
    return random.uniform(values.min(), values.max(), values.shape)


def _dead_channel(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    changed = values.copy()
    axis = max(layout.axes.find("C"), layout.axes.find("F"))
    changed[(slice(None),) * axis + (0,) if axis >= 0 else ...] = 0
    return changed


def _one_nan(values: Array, _layout: Layout, random: np.random.Generator) -> Array:
    changed = values.copy()
    changed.flat[random.integers(values.size)] = np.nan
    return changed


_ANY: dict[str, Fault] = {
    "x 255": lambda values, _layout, _random: values.astype(np.float64) * 255,
    "constant": lambda values, _layout, _random: np.full(values.shape, values.mean()),
    "noise": _noise,
    "dead channel": _dead_channel,
    "dimmed x 0.1": lambda values, _layout, _random: values.astype(np.float64) * 0.1,
}
_LONG: dict[str, Fault] = {"bytes swapped": lambda values, _layout, _random: values.byteswap()}
