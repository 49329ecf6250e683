"""Attacks that need no gradients: they try, keep what helps, and try again.

Few tries from one start: what they do not reach is no proof that nothing could.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.layout import Layout
from modelkeep.guard_report.corruptions import corrupted

Values = NDArray[np.float64]
_PATCH_SHARE = 0.05
_LEVELS = 255


@dataclass(frozen=True, slots=True)
class Task:
    """What is attacked.

    Attributes:
        start: the clean input.
        other: a clean input that the model takes for something else, or None.
        layout: how to read it.
        reach: how far an element may change, in units of the input.
        random: where chance comes from.
    """

    start: Values
    other: Values | None
    layout: Layout
    reach: float
    random: np.random.Generator


# Proposes what to try next, from the best so far and the share of the tries that is used up.
Propose = Callable[[Task, Values, float], Values]
# Carries what was found for one clean input over to another one: start, found, other start.
Carry = Callable[[Values, Values, Values], Values]


def noise(task: Task, _best: Values, _spent: float) -> Values:
    """Every element up or down, anew each time."""
    return np.asarray(task.start + task.random.choice([-task.reach, task.reach], task.start.shape))


def towards_other(task: Task, _best: Values, _spent: float) -> Values:
    """Some elements, anew each time, go towards an input of another class."""
    if task.other is None:
        return task.start
    chosen = task.random.random(task.start.shape) < task.random.uniform(0.3, 1.0)
    return task.start + chosen * task.reach * np.sign(task.other - task.start)


def square(task: Task, best: Values, spent: float) -> Values:
    """A block that gets smaller goes up or down, by channel; stripes at first (after Square Attack, 2020)."""
    if spent == 0:
        shape = [1 if axis == "H" else size for axis, size in _sizes(task)]
        return np.asarray(task.start + task.random.choice([-task.reach, task.reach], shape))
    tried = best.copy()
    place = _block(task, 0.5 * (1 - spent) ** 2)
    shape = [size if axis in "CN" else 1 for axis, size in _sizes(task)]
    step = np.broadcast_to(task.random.choice([-task.reach, task.reach], shape), task.start.shape)
    tried[place] = task.start[place] + step[place]
    return tried


def boundary(task: Task, best: Values, _spent: float) -> Values:
    """From an input of another class towards the clean one, with some noise, as far as it goes."""
    if task.other is None:
        return best
    if best is task.start:
        return task.other
    way = task.start - best
    size = float(np.sqrt((way**2).mean()))
    return best + task.random.uniform(0.02, 0.4) * way + task.random.normal(0, 0.05 * size, way.shape)


def patch(task: Task, best: Values, spent: float) -> Values:
    """One block of 5 %, of any content or one colour: placed anew in half of the tries, then repainted."""
    if spent < 0.5 or best is task.start:
        place, tried = _patch_block(task), task.start.copy()
        if task.random.random() < 0.5:
            tried[place] = task.random.choice([task.layout.low, task.layout.high], tried[place].shape)
        else:
            colour = [size if axis in "CN" else 1 for axis, size in _sizes(task)]
            tried[place] = task.random.uniform(task.layout.low, task.layout.high, colour)
        return tried
    tried = best.copy()
    share = task.random.choice([0.01, 0.1])
    repainted = (best != task.start) & (task.random.random(best.shape) < share)
    tried[repainted] = task.random.uniform(task.layout.low, task.layout.high, int(repainted.sum()))
    return tried


def patch_of_other(task: Task, _best: Values, _spent: float) -> Values:
    """One block of 5 %, anew each time, shows a block of an input of another class."""
    if task.other is None:
        return task.start
    tried = task.start.copy()
    tried[_patch_block(task)] = task.other[_patch_block(task)]
    return tried


def corruption(task: Task, _best: Values, _spent: float) -> Values:
    """What weather, lenses and transmission do, of any kind and strength, anew each time."""
    return corrupted(task.start, task.layout, task.random)


def _add(start: Values, found: Values, other: Values) -> Values:
    return other + (found - start)


def _paste(start: Values, found: Values, other: Values) -> Values:
    return np.where(found != start, found, other)


@dataclass(frozen=True, slots=True)
class Attack:
    """A way to attack.

    Attributes:
        propose: what to try next.
        approaches: whether it starts from another class and comes nearer, instead of the other way round.
        carry: how what it found is carried over to other inputs, or None where that makes no sense.
    """

    propose: Propose
    approaches: bool = False
    carry: Carry | None = None


ATTACKS: Mapping[str, Attack] = {
    "random noise": Attack(noise, carry=_add),
    "towards another class": Attack(towards_other, carry=_add),
    "square": Attack(square, carry=_add),
    "boundary": Attack(boundary, approaches=True),
    "patch of 5 %": Attack(patch, carry=_paste),
    "patch of another class": Attack(patch_of_other, carry=_paste),
    "corruption": Attack(corruption),
}


def grid_of(start: Values, layout: Layout) -> float | None:
    """Returns the step between the levels of an input with at most 256 of them, or None."""
    step = (layout.high - layout.low) / _LEVELS
    levels = (start - layout.low) / step
    return step if np.abs(levels - np.rint(levels)).max() < 1e-3 else None


def allowed(task: Task, values: Values, grid: float | None) -> Values:
    """Returns values within the range of the input, and on its levels where `grid` is given."""
    low, high = min(task.layout.low, task.start.min()), max(task.layout.high, task.start.max())
    if grid is not None:
        values = task.layout.low + np.rint((values - task.layout.low) / grid) * grid
    return np.asarray(values.clip(low, high))


def _sizes(task: Task) -> list[tuple[str, int]]:
    return list(zip(task.layout.axes, task.start.shape, strict=True))


def _patch_block(task: Task) -> tuple[slice, ...]:
    return _block(task, _PATCH_SHARE ** (1 / max(1, sum(axis in "HWTF" for axis in task.layout.axes))))


def _block(task: Task, share: float) -> tuple[slice, ...]:
    """Returns a random block that takes `share` of each axis of space or time, and all of the others."""
    place = []
    for axis, size in _sizes(task):
        if axis not in "HWTF":
            place.append(slice(None))
            continue
        length = max(1, round(size * share))
        first = int(task.random.integers(0, size - length + 1))
        place.append(slice(first, first + length))
    return tuple(place)
