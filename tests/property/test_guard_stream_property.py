"""The promise about the time between false alarms, over many draws of clean samples."""

from __future__ import annotations

import numpy as np
import pytest

from modelkeep.guard.bound import binomial_tail
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.sample import measure
from modelkeep.guard.sequence import highest_chances
from modelkeep.guard.stream import StreamGuard

_APART = 40.0


def learned(random: np.random.Generator, count: int) -> GuardProfile:
    values = random.normal(size=(2 * count, 2)).astype(np.float32)
    values[:, 1] = np.rint(values[:, 1])
    plan = Plan.make({"x": values[:100]}, {})
    fit = Fit(plan)
    fit.add(measure(plan, {"x": values[:count]}, {}))
    calibration = Calibration(fit.freeze())
    calibration.add(measure(plan, {"x": values[count:]}, {}))
    return calibration.finish(bytes(32), alpha=0.2, delta=0.1)


@pytest.mark.parametrize("count", [40, 400])
def test_false_alarms_are_as_far_apart_as_promised(count: int) -> None:
    random = np.random.default_rng(61)
    draws, frames, too_often = 30, 1200, 0
    for _ in range(draws):
        stream = StreamGuard(learned(random, count), apart=_APART)
        values = random.normal(size=(frames, 2)).astype(np.float32)
        values[:, 1] = np.rint(values[:, 1])
        found = len(stream.check({"x": values}))
        # So many alarms in so many frames, by chance alone, are rarer than one in a thousand.
        most = frames / _APART
        too_often += found > most + 3.1 * np.sqrt(most)
    assert 1 - binomial_tail(draws, max(too_often - 1, 0), 0.1) > 0.001


@pytest.mark.parametrize("count", [20, 500])
def test_bounds_on_chances_hold(count: int) -> None:
    random = np.random.default_rng(62)
    for chance in (0.002, 0.05, 0.5, 0.97):
        seen = random.binomial(count, chance, 4000)
        below = (highest_chances(seen, count, 0.05) < chance).mean()
        assert below <= 0.05
