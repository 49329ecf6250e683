"""A site of its own: what is usual there, learned on the device, within the publisher's outer bound.

Whoever chooses the samples chooses what is usual, up to that bound and never beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.sample import Measurement, measure
from modelkeep.guard.signal import Signal
from modelkeep.guard.tails import MOST

_MOST_BEYOND = 0.1


def adapt(
    profile: GuardProfile,
    samples: Iterable[Mapping[str, NDArray[Any]]],
    *,
    alpha: float | None = None,
    delta: float | None = None,
) -> GuardProfile:
    """Learns what is usual at a site. To be started by the operator, with the site as it should be.

    Inputs beyond the publisher's outer bound stay alarms; they count against the rate of false alarms.

    Args:
        profile: the publisher's.
        samples: inputs of the site by name, clean; every other one goes into what is usual, the rest set
            the threshold.
        alpha: highest rate of false alarms of the stage ``signal``; the publisher's without.
        delta: chance that it is higher all the same; the publisher's without.

    Returns:
        A profile of the stage ``signal`` alone, for `Guard(profile, site=...)`.

    Raises:
        UsageError: the publisher allows no sites of their own; too few samples; or samples beyond the bound.
    """
    if profile.outer is None:
        raise UsageError(
            "this profile allows no sites of their own", hint="the publisher does, with `learn --outer`"
        )
    plan = Plan(tuple(usual.layout for usual in profile.inputs), None)
    measured = [measure(plan, sample, {}) for sample in samples]
    inside = [each for each in measured[::2] if _is_inside(profile, each)]
    if not inside or len(inside) < (1 - _MOST_BEYOND) * len(measured[::2]):
        raise UsageError(
            f"{len(measured[::2]) - len(inside)} of {len(measured[::2])} samples are beyond what the "
            "publisher allows any site",
            hint="check the site, or ask the publisher for a profile that was learned at more of them",
        )
    fit = Fit(plan)
    for each in inside:
        fit.add(each)
    calibration = Calibration(fit.freeze(), profile)
    for each in measured[1::2]:
        calibration.add(each)
    learned = calibration.finish(profile.model, alpha=alpha or profile.alpha, delta=delta or profile.delta)
    if any(threshold >= MOST for threshold in learned.stages[0].thresholds.values()):
        raise UsageError(
            "too many samples are beyond what the publisher allows any site", hint="check the site"
        )
    return learned


def at_site(profile: GuardProfile, site: GuardProfile) -> GuardProfile:
    """Returns a publisher's profile with what is usual for inputs at a site.

    Raises:
        UsageError: the site's profile was not adapted from this one.
    """
    layouts = [[usual.layout for usual in each.inputs] for each in (profile, site)]
    if profile.outer is None or profile.model != site.model or layouts[0] != layouts[1]:
        raise UsageError("this site's profile was not adapted from the publisher's", hint="adapt it again")
    signal = next(stage for stage in site.stages if stage.name == "signal")
    own = next(stage for stage in profile.stages if stage.name == "signal")
    adapted = replace(own, thresholds=signal.thresholds, levels=signal.levels)
    return replace(
        profile,
        fitted=site.fitted,
        calibrated=site.calibrated,
        inputs=site.inputs,
        sequence=site.sequence,
        stages=tuple(adapted if each is own else each for each in profile.stages),
    )


def _is_inside(profile: GuardProfile, measurement: Measurement) -> bool:
    signal = Signal.measured(profile.inputs, measurement.inputs)
    return bool(np.max([found.max() for found in signal.surprises]) <= (profile.outer or 0.0))
