"""The second phase of learning: how strange clean samples get, and the thresholds that follow.

The samples of the two phases must be different ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard import bound, rules
from modelkeep.guard.fit import Usual
from modelkeep.guard.numbers import Numbers
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import EVERY_INPUT, LEVELS, GuardProfile, Stage
from modelkeep.guard.sample import Measurement
from modelkeep.guard.scores import threshold, too_few
from modelkeep.guard.sequence import BINS, count_bins, sequence_of
from modelkeep.guard.signal import Signal

_DEFAULT_ACTIONS = {"signal": "reject", "model": "flag", "squeeze": "flag"}

Rule = tuple[str, str]


@dataclass(slots=True)
class Calibration:
    """Second phase: how high clean samples score.

    Attributes:
        usual: the result of the first phase.
        within: the publisher's profile, where a site's is learned.
    """

    usual: Usual
    within: GuardProfile | None = None
    _scores: dict[Rule, list[Numbers]] = field(init=False)
    _counts: list[NDArray[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        self._scores = {rule: [] for stage in self.usual.plan.stages().values() for rule in stage}
        sizes = (len(usual.tails.quantiles) for usual in self.usual.inputs)
        self._counts = [np.zeros((size, BINS), np.int64) for size in sizes]

    def add(self, measurement: Measurement) -> None:
        """Adds samples, measured by the same plan, that the first phase has not seen."""
        signal = Signal.measured(self.usual.inputs, measurement.inputs, self.within)
        for place, usual in enumerate(self.usual.inputs):
            self._counts[place] += count_bins(signal.features[place], usual.tails)
        self._scores["surprise", EVERY_INPUT].append(signal.scores())
        outputs, known = measurement.outputs, self.usual.outputs
        if outputs is None or known is None:
            return
        for rule, subject in self.usual.plan.stages().get("model", []):
            self._scores[rule, subject].append(rules.score_outputs(rule, outputs, known))
        for squeezer, scores in measurement.squeezed.items():
            self._scores[squeezer, known.scores].append(scores)

    def signal_scores(self) -> list[float]:
        """Returns how strange the inputs of each call were, the strangest sample of a batch."""
        return [float(scores.max()) for scores in self._scores["surprise", EVERY_INPUT]]

    def finish(self, model: bytes, *, alpha: float, delta: float) -> GuardProfile:
        """Returns the profile.

        Args:
            model: digest of the model, 32 bytes.
            alpha: highest rate of false alarms of each stage.
            delta: chance that a stage's rate is higher all the same.

        Raises:
            UsageError: too few samples; the message says how many are needed.
        """
        scores = {rule: np.concatenate([*found, np.empty(0)]) for rule, found in self._scores.items()}
        calibrated = min(map(len, scores.values()))
        needed = samples_needed(self.usual.plan, alpha, delta)
        if calibrated < needed:
            rarest = _rarest(self.usual.plan)
            raise too_few(calibrated, needed, bound.least_alpha(calibrated, delta * rarest) / rarest)
        stages = tuple(
            Stage(
                name,
                _DEFAULT_ACTIONS[name],
                _thresholds(stage, scores, alpha, delta),
                {rule: _levels(scores[rule]) for rule in stage},
            )
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
            sequence=sequence_of(scores["surprise", EVERY_INPUT], self._counts, delta),
            stages=stages,
        )


def _thresholds(
    stage: list[Rule], scores: dict[Rule, Numbers], alpha: float, delta: float
) -> dict[Rule, float]:
    # Each rule gets a part of both, so that the stage as a whole keeps its bound.
    shares = rules.shares([rule for rule, _ in stage])
    thresholds = {
        rule: threshold(scores[rule], alpha * share, delta * share)
        for rule, share in zip(stage, shares, strict=True)
    }
    if not all(math.isfinite(each) for each in thresholds.values()):
        raise UsageError("the model's outputs for clean samples are not all finite")
    return thresholds


def _levels(scores: Numbers) -> tuple[float, ...]:
    ordered = np.sort(scores)
    return tuple(float(ordered[math.ceil(share * len(ordered)) - 1]) for share in LEVELS)


def samples_needed(plan: Plan, alpha: float, delta: float) -> int:
    """Returns how many samples the second phase needs at least, by this plan."""
    rarest = _rarest(plan)
    return bound.samples_needed(alpha * rarest, delta * rarest)


def _rarest(plan: Plan) -> float:
    """Returns the smallest part of its stage's false alarms that a rule may give."""
    return min(min(rules.shares([rule for rule, _ in stage])) for stage in plan.stages().values())
