"""Whether false alarms about changes are as rare as is stated, over many choices of the clean samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep.guard.calibration import Calibration
from modelkeep.guard.change import Change
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.reader import Reader
from modelkeep.guard.sample import measure

_DRAWS, _CLEAN, _FRAMES, _APART = 60, 400, 6000, 200


Rows = NDArray[np.float32]
_MIXING = np.array([[1, 0.6, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.3], [0, 0, 0, 1]])


def _rows(random: np.random.Generator, count: int) -> Rows:
    mixed = random.normal(size=(count, 4)) @ _MIXING
    mixed[:, 3] = np.exp(mixed[:, 3])
    rows: Rows = mixed.astype(np.float32)
    return rows


def _learned(rows: Rows) -> GuardProfile:
    plan = Plan.make({"x": rows[:1]}, {}, layouts={"x": "NF"}, early=[{"x": rows}])
    fit = Fit(plan)
    fit.add(measure(plan, {"x": rows[::2]}, {}))
    calibration = Calibration(fit.freeze())
    calibration.add(measure(plan, {"x": rows[1::2]}, {}))
    return calibration.finish(bytes(32), alpha=0.05, delta=0.05)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_is_stated_over_many_choices_of_clean_samples() -> None:
    """Of 60 profiles, at most 5 % and chance may give more alarms than one in `apart` clean frames."""
    exceeded = 0
    for seed in range(_DRAWS):
        random = np.random.default_rng(seed)
        profile = _learned(_rows(random, _CLEAN))
        change, found = Change(profile.sequence, profile.inputs), 0
        for frame in Reader(profile.inputs).read({"x": _rows(random, _FRAMES)}).frames():
            if change.add(frame) >= _APART:
                change.restart()
                found += 1
        exceeded += found > _FRAMES / _APART
    # 8 or more of 60 have a chance below 1 % if each exceeds with a chance of 5 %.
    assert exceeded < 8
