"""Profiles of the signal stage alone, learned without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.sample import measure

DELTA = 0.05


class Learned:
    """Clean samples, measured once, from which a profile for any rate follows."""

    def __init__(self, samples: Sequence[NDArray[Any]], axes: str) -> None:
        early = [{"x": sample} for sample in samples[:256]]
        plan = Plan.make(early[0], {}, layouts={"x": axes}, early=early)
        measured = [measure(plan, {"x": sample}, {}) for sample in samples]
        fit = Fit(plan)
        for each in measured[::2]:
            fit.add(each)
        self._calibration = Calibration(fit.freeze())
        for each in measured[1::2]:
            self._calibration.add(each)

    def profile(self, alpha: float) -> GuardProfile:
        """Returns the profile for a rate of false alarms."""
        return self._calibration.finish(bytes(32), alpha=alpha, delta=DELTA)


def cut(samples: NDArray[Any]) -> list[NDArray[Any]]:
    """Returns samples one by one, each as a batch of its own."""
    return [np.ascontiguousarray(samples[place : place + 1]) for place in range(len(samples))]
