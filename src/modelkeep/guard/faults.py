"""What goes wrong between a sensor and a model, without anybody meaning harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Array

Fault = Callable[[Array, Layout, np.random.Generator], Array]

# Axes along which a sensor reads one element after the other.
_READ_ALONG = "HT"
_FEWEST_COLOURS = 3
PATCH = "patch of 5 %"


def faults_for(kind: np.dtype[Any], layout: Layout) -> dict[str, Fault]:
    """Returns by name the faults that an input of a type and a layout can have."""
    faults = dict(_ANY)
    if kind.itemsize > 1:
        faults |= _LONG
    if kind.kind == "f":
        faults |= _FLOAT
    if any(axis in layout.axes for axis in _READ_ALONG):
        faults |= _READ
    if "C" in layout.axes:
        faults |= _CHANNELS
    if "H" in layout.axes:
        faults |= _IMAGES
    if "C" in layout.axes and "H" in layout.axes and layout.channels >= _FEWEST_COLOURS:
        faults |= _COLOURS
    if layout.is_vector and layout.channels > 1:
        faults |= _VECTORS
    return faults


def in_type(values: Array, kind: np.dtype[Any]) -> Array:
    """Returns values in the type of an input: whole numbers are rounded, and cut to what it holds."""
    with np.errstate(all="ignore"):
        if kind.kind in "iu":
            values = np.rint(values).clip(np.iinfo(kind).min, np.iinfo(kind).max)
        return np.ascontiguousarray(values.astype(kind))


def _noise(values: Array, _layout: Layout, random: np.random.Generator) -> Array:
    return random.uniform(values.min(), values.max(), values.shape)


def _normalised(values: Array, _layout: Layout, _random: np.random.Generator) -> Array:
    numbers = values.astype(np.float64)
    return np.asarray((numbers - numbers.mean()) / (numbers.std() + 1e-9))


def _gain(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    gained = values.astype(np.float64) * 3
    return gained if layout.is_vector else np.asarray(gained.clip(values.min(), values.max()))


def _dead_channel(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    changed = values.copy()
    axis = max(layout.axes.find("C"), layout.axes.find("F"))
    changed[(slice(None),) * axis + (0,) if axis >= 0 else ...] = 0
    return changed


def _one_nan(values: Array, _layout: Layout, random: np.random.Generator) -> Array:
    changed = values.copy()
    changed.flat[random.integers(values.size)] = np.nan
    return changed


def _half_frozen(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    """The second half repeats the last reading of the first."""
    axis = max(layout.axes.find(name) for name in _READ_ALONG)
    changed = np.moveaxis(values.copy(), axis, 0)
    middle = max(1, len(changed) // 2)
    changed[middle:] = changed[middle - 1]
    return np.moveaxis(changed, 0, axis)


def _upside_down(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    return np.flip(values, max(layout.axes.find(name) for name in _READ_ALONG))


def _transposed(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    """Channels come first instead of last, or the other way round."""
    axis = layout.axes.index("C")
    first = 1 if "N" in layout.axes else 0
    return np.moveaxis(values, axis, first if axis == values.ndim - 1 else values.ndim - 1)


def _patch(values: Array, layout: Layout, random: np.random.Generator) -> Array:
    """A square of a twentieth of the picture has nothing to do with it."""
    changed = values.copy()
    height, width = (values.shape[layout.axes.index(axis)] for axis in "HW")
    side = max(1, round((0.05 * height * width) ** 0.5))
    places: list[slice] = []
    for axis, length in zip(layout.axes, values.shape, strict=True):
        start = int(random.integers(max(1, length - side + 1))) if axis in "HW" else 0
        places.append(slice(start, start + side) if axis in "HW" else slice(None))
    patch = changed[tuple(places)]
    changed[tuple(places)] = random.choice(values.ravel(), patch.shape)
    return changed


def _columns_swapped(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    return np.roll(values, 1, layout.axes.index("F"))


def _channels_reversed(values: Array, layout: Layout, _random: np.random.Generator) -> Array:
    return np.flip(values, layout.axes.index("C"))


_ANY: dict[str, Fault] = {
    "x 255": lambda values, _layout, _random: values.astype(np.float64) * 255,
    "/ 255": lambda values, _layout, _random: values.astype(np.float64) / 255,
    "gain x 3": _gain,
    "dimmed x 0.1": lambda values, _layout, _random: values.astype(np.float64) * 0.1,
    "normalised once too often": _normalised,
    "constant": lambda values, _layout, _random: np.full(values.shape, values.mean()),
    "noise": _noise,
    "dead channel": _dead_channel,
}
_LONG: dict[str, Fault] = {"bytes swapped": lambda values, _layout, _random: values.byteswap()}
_FLOAT: dict[str, Fault] = {
    "one NaN": _one_nan,
    "all NaN": lambda values, _layout, _random: np.full(values.shape, np.nan),
}
_READ: dict[str, Fault] = {"half frozen": _half_frozen, "upside down": _upside_down}
_IMAGES: dict[str, Fault] = {PATCH: _patch}
_COLOURS: dict[str, Fault] = {"channels reversed": _channels_reversed}
_VECTORS: dict[str, Fault] = {"columns moved by one": _columns_swapped}
_CHANNELS: dict[str, Fault] = {"transposed": _transposed}
# Those of coloured images; other inputs have fewer.
MOST_FAULTS = sum(map(len, (_ANY, _LONG, _FLOAT, _READ, _IMAGES, _COLOURS, _CHANNELS)))
# Faults that a profile should see; the others change what an input shows, and may look usual.
GROSS = frozenset(
    {"x 255", "/ 255", "gain x 3", "noise", "bytes swapped", "one NaN", "all NaN", "half frozen"}
)
