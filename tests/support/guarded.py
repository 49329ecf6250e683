"""A profile of pictures, learned without a model, for tests of what the guard lets pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.sample import Measurement, measure
from support.pictures import Picture, pictures

MODEL = bytes(range(32))


def measured(samples: Iterable[Picture]) -> tuple[Plan, list[Measurement]]:
    """Returns the plan for pictures as input `x`, and the pictures measured by it."""
    inputs: list[Mapping[str, Any]] = [{"x": sample} for sample in samples]
    plan = Plan.make(inputs[0], {})
    return plan, [measure(plan, each, {}) for each in inputs]


def calibrated(plan: Plan, samples: Sequence[Measurement]) -> Calibration:
    """Returns what was learned of every second sample, held against the others."""
    fit = Fit(plan)
    for each in samples[::2]:
        fit.add(each)
    calibration = Calibration(fit.freeze())
    for each in samples[1::2]:
        calibration.add(each)
    return calibration


@cache
def picture_profile() -> GuardProfile:
    """Returns a profile of 800 + 800 pictures at a false-alarm rate of 1 %."""
    plan, samples = measured(pictures(1600, seed=1))
    return calibrated(plan, samples).finish(MODEL, alpha=0.01, delta=0.05)
