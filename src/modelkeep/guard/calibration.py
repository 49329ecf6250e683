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
from modelkeep.guard import bound, features, rules
from modelkeep.guard.fit import LARGEST_JOINT, Usual
from modelkeep.guard.measurement import distances
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
        self._tops = {rule: TopScores() for stage in _rules(self.usual).values() for rule in stage}

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
        self._tops["confidence", known.scores].add(outputs.confidence)
        if known.kind == "logits":
            self._tops["energy", known.scores].add(outputs.energy)
        if known.embedding is not None:
            self._tops["distance", known.embedding].add(distances(outputs, known))
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
            raise too_few(calibrated, needed)
        stages = tuple(
            Stage(name, _DEFAULT_ACTIONS[name], self._thresholds(stage, alpha, delta))
            for name, stage in _rules(self.usual).items()
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
        # Each rule gets an equal part, so that the stage as a whole keeps its bound.
        share, chance = alpha / len(stage), delta / len(stage)
        thresholds = {rule: self._tops[rule].threshold(share, chance) for rule in stage}
        if not all(math.isfinite(threshold) for threshold in thresholds.values()):
            raise UsageError("the model's outputs for clean samples are not all finite")
        return thresholds


def samples_needed(plan: Plan, alpha: float, delta: float) -> int:
    """Returns how many samples the second phase needs at least, by this plan."""
    inputs = sum(2 if len(features.names(layout)) <= LARGEST_JOINT else 1 for layout in plan.inputs)
    outputs = 0
    if plan.outputs is not None:
        _, kind, embedding, _ = plan.outputs
        outputs = 1 + (kind == "logits") + (embedding is not None)
    largest = max(inputs, outputs, len(plan.squeezers))
    return bound.samples_needed(alpha / largest, delta / largest)


def _rules(usual: Usual) -> dict[str, list[tuple[str, str]]]:
    """Returns the rules of every stage, as pairs of rule and input or output."""
    signal = [("envelope", profile.layout.name) for profile in usual.inputs]
    signal += [("joint", profile.layout.name) for profile in usual.inputs if profile.joint is not None]
    outputs = usual.outputs
    if outputs is None:
        return {"signal": signal}
    model = [("confidence", outputs.scores)]
    model += [("energy", outputs.scores)] if outputs.kind == "logits" else []
    model += [] if outputs.embedding is None else [("distance", outputs.embedding)]
    squeeze = [(squeezer, outputs.scores) for squeezer in usual.plan.squeezers]
    return {"signal": signal, "model": model} | ({"squeeze": squeeze} if squeeze else {})
