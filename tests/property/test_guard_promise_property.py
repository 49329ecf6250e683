"""The promise about false alarms, for whole profiles, over many draws of clean samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep.guard import rules
from modelkeep.guard.bound import binomial_tail
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import EVERY_INPUT, GuardProfile
from modelkeep.guard.sample import Measurement, measure

_DRAWS = 120
_HELD_OUT = 4000


def odd(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Returns rows with heavy tails, ties, columns that stand still, missing values and outliers."""
    columns = [
        random.standard_cauchy(count),
        random.integers(0, 3, count),
        np.zeros(count),
        np.where(random.random(count) < 0.004, 1e9, random.normal(size=count)),
        np.where(random.random(count) < 0.01, np.nan, random.random(count)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def rows(plan: Plan, values: NDArray[np.float32]) -> Measurement:
    return measure(plan, {"x": values}, {})


def learned(random: np.random.Generator, count: int, alpha: float) -> tuple[Plan, GuardProfile]:
    values = odd(2 * count, random)
    plan = Plan.make({"x": values[:100]}, {})
    fit = Fit(plan)
    fit.add(rows(plan, values[:count]))
    calibration = Calibration(fit.freeze())
    calibration.add(rows(plan, values[count:]))
    return plan, calibration.finish(bytes(32), alpha=alpha, delta=0.1)


@pytest.mark.parametrize(("count", "alpha"), [(100, 0.05), (400, 0.02)])
def test_a_profile_exceeds_its_rate_no_more_often_than_promised(count: int, alpha: float) -> None:
    random = np.random.default_rng(60)
    exceeded, rates = 0, []
    for _ in range(_DRAWS):
        plan, profile = learned(random, count, alpha)
        usual = profile.inputs[0]
        numbers = rules.numbers(rows(plan, odd(_HELD_OUT, random)).inputs["x"], usual)
        found = rules.surprises(numbers, usual)
        threshold = profile.stages[0].thresholds["surprise", EVERY_INPUT]
        rates.append(float((rules.strangest([found]) > threshold).mean()))
        # Held-out samples are many, but not all: what chance alone could do is not held against it.
        exceeded += rates[-1] > alpha + 2 * np.sqrt(alpha / _HELD_OUT)
    assert 1 - binomial_tail(_DRAWS, max(exceeded - 1, 0), 0.1) > 0.001
    assert np.mean(rates) < alpha
