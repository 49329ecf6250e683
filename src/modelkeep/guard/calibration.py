"""From clean samples to a profile, in two phases that can each be split and merged.

    Fit          what is usual; `merge`, then `freeze`
    Calibration  how strange clean samples get; `merge`, then `finish`

The samples of the two phases must be different ones. Whatever the split and the order, the
profile is the same to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

from modelkeep.errors import UsageError
from modelkeep.guard import bound, rules
from modelkeep.guard.fit import Usual
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile, Stage
from modelkeep.guard.sample import Measurement
from modelkeep.guard.scores import TopScores, too_few

_DEFAULT_ACTIONS = {"signal": "reject", "model": "flag", "squeeze": "flag"}


@dataclass(slots=True)
class Calibration:
    """Second phase: how high clean samples score."""

    usual: Usual
    _tops: dict[tuple[str, str], TopScores] = field(init=False)

    def __post_init__(self) -> None:
        self._tops = {rule: TopScores() for stage in self.usual.plan.stages().values() for rule in stage}

    def add(self, measurement: Measurement) -> None:
        """Adds samples, measured by the same plan, that the first phase has not seen."""
        for profile in self.usual.inputs:
            name = profile.layout.name
            rows = measurement.inputs[name]
            self._tops["envelope", name].add(rules.envelope(rows, profile)[0])
            if profile.joint is not None:
                self._tops["joint", name].add(rules.joint(rows, profile.joint))
        outputs, known = measurement.outputs, self.usual.outputs
        if outputs is None or known is None:
            return
        for rule, subject in self.usual.plan.stages().get("model", []):
            self._tops[rule, subject].add(rules.score_outputs(rule, outputs, known))
        for squeezer, scores in measurement.squeezed.items():
            self._tops[squeezer, known.scores].add(scores)

    def merge(self, other: Self) -> None:
        """Adds what another one, of the same frozen fit, has seen.

        Raises:
            UsageError: the fits have different plans.
        """
        self.usual.plan.check_same(other.usual.plan)
        for rule, top in self._tops.items():
            top.merge(other._tops[rule])

    def finish(self, model: bytes, *, alpha: float, delta: float) -> GuardProfile:
        """Returns the profile.

        Args:
            model: digest of the model, 32 bytes.
            alpha: highest rate of false alarms of each stage.
            delta: chance that a stage's rate is higher all the same.

        Raises:
            UsageError: too few samples; the message says how many are needed.
        """
        calibrated = min(top.count for top in self._tops.values())
        needed = samples_needed(self.usual.plan, alpha, delta)
        if calibrated < needed:
            rarest = _rarest(self.usual.plan)
            raise too_few(calibrated, needed, bound.least_alpha(calibrated, delta * rarest) / rarest)
        stages = tuple(
            Stage(name, _DEFAULT_ACTIONS[name], self._thresholds(stage, alpha, delta))
            for name, stage in self.usual.plan.stages().items()
        )
        return GuardProfile(
            model=model,
            fitted=self.usual.fitted,
            calibrated=calibrated,
            alpha=alpha,
            delta=delta,
            inputs=self.usual.inputs,
            outputs=self.usual.outputs,
            stages=stages,
        )

    def _thresholds(
        self, stage: list[tuple[str, str]], alpha: float, delta: float
    ) -> dict[tuple[str, str], float]:
        # Each rule gets a part of both, so that the stage as a whole keeps its bound.
        shares = rules.shares([rule for rule, _ in stage])
        thresholds = {
            rule: self._tops[rule].threshold(alpha * share, delta * share)
            for rule, share in zip(stage, shares, strict=True)
        }
        if not all(math.isfinite(threshold) for threshold in thresholds.values()):
            raise UsageError("the model's outputs for clean samples are not all finite")
        return thresholds


def samples_needed(plan: Plan, alpha: float, delta: float) -> int:
    """Returns how many samples the second phase needs at least, by this plan."""
    rarest = _rarest(plan)
    return bound.samples_needed(alpha * rarest, delta * rarest)


def _rarest(plan: Plan) -> float:
    """Returns the smallest part of its stage's false alarms that a rule may give."""
    return min(min(rules.shares([rule for rule, _ in stage])) for stage in plan.stages().values())
