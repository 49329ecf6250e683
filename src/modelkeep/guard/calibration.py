"""From clean samples to a profile, in two phases that can each be split and merged.

    Fit          what is usual; `merge`, then `freeze`
    Calibration  how strange clean samples get; `merge`, then `finish`

The samples of the two phases must be different ones. Whatever the split and the order, the
profile is the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard import bound, features, rules
from modelkeep.guard.measurement import (
    EMBEDDING_UNIT,
    OutputMeasurement,
    Plan,
    distances,
    measure_input,
    measure_outputs,
    output_fault,
)
from modelkeep.guard.moments import Moments, Tails, whitening
from modelkeep.guard.profile import GuardProfile, InputProfile, Joint, OutputProfile, Stage
from modelkeep.guard.scores import TopScores, too_few

Array = NDArray[Any]

LARGEST_JOINT = 128
_TAIL_STEP = features.UNIT // 128
_SHARES = (0.01, 0.05, 0.95, 0.99)
_DEFAULT_ACTIONS = {"signal": "reject", "model": "flag"}


@dataclass(frozen=True, slots=True)
class Measurement:
    """Clean samples, measured and let go of.

    Attributes:
        inputs: features [samples, features] by input name.
        outputs: what the model made of them, or None.
    """

    inputs: Mapping[str, features.Features]
    outputs: OutputMeasurement | None


def measure(plan: Plan, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Measurement:
    """Returns what both phases need to know about some clean samples.

    Args:
        plan: what to look at.
        inputs: arrays by input name.
        outputs: what the model made of them; not used when the plan has no model-aware stage.

    Raises:
        UsageError: the samples do not have the form of the plan.
    """
    for layout in plan.inputs:
        fault = layout.fault(inputs.get(layout.name))
        if fault is not None:
            raise UsageError(f"a sample of input {layout.name!r} is {fault}")
    found = {layout.name: measure_input(inputs[layout.name], layout) for layout in plan.inputs}
    if plan.outputs is None:
        return Measurement(found, None)
    scores, _, embedding, _ = plan.outputs
    for name in (scores, *([] if embedding is None else [embedding])):
        fault = output_fault(outputs, name)
        if fault is not None:
            raise UsageError(f"output {name!r} of a sample is {fault}")
    return Measurement(found, measure_outputs(outputs, *plan.outputs))


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual: the frozen result of the first phase."""

    plan: Plan
    fitted: int
    inputs: tuple[InputProfile, ...]
    outputs: OutputProfile | None


@dataclass(slots=True)
class Fit:
    """First phase: what clean samples look like."""

    plan: Plan
    _moments: dict[str, Moments] = field(init=False)
    _tails: dict[str, Tails] = field(init=False)
    _classes: dict[int, Moments] = field(init=False, default_factory=dict)
    _embeddings: Moments | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        sizes = {layout.name: len(features.names(layout)) for layout in self.plan.inputs}
        self._moments = {name: Moments(size, size <= LARGEST_JOINT) for name, size in sizes.items()}
        self._tails = {name: Tails(size, _TAIL_STEP) for name, size in sizes.items()}

    def add(self, measurement: Measurement) -> None:
        """Adds samples, measured by the same plan."""
        for name, rows in measurement.inputs.items():
            self._moments[name].add(rows)
            self._tails[name].add(rows)
        outputs = measurement.outputs
        if outputs is None or outputs.embedding is None:
            return
        if self._embeddings is None:
            self._embeddings = Moments(outputs.embedding.shape[1], with_products=True)
        self._embeddings.add(outputs.embedding)
        for number in np.unique(outputs.classes).tolist():
            self._class(number, outputs.embedding.shape[1]).add(outputs.embedding[outputs.classes == number])

    def merge(self, other: Self) -> None:
        """Adds what another one, of the same plan, has seen.

        Raises:
            UsageError: the plans differ.
        """
        _check_same(self.plan == other.plan)
        for name, moments in self._moments.items():
            moments.merge(other._moments[name])
            self._tails[name].merge(other._tails[name])
        if other._embeddings is None:
            return
        if self._embeddings is None:
            self._embeddings = Moments(other._embeddings.size, with_products=True)
        self._embeddings.merge(other._embeddings)
        for number, moments in other._classes.items():
            self._class(number, moments.size).merge(moments)

    def freeze(self) -> Usual:
        """Returns what is usual.

        Raises:
            UsageError: no samples were added.
        """
        fitted = min(moments.count for moments in self._moments.values())
        if fitted == 0:
            raise UsageError("no samples to learn from", hint="pass clean inputs as the model takes them")
        inputs = tuple(
            InputProfile(
                layout, self._tails[layout.name].quantiles(_SHARES), _joint(self._moments[layout.name])
            )
            for layout in self.plan.inputs
        )
        return Usual(self.plan, fitted, inputs, self._outputs())

    def _class(self, number: int, size: int) -> Moments:
        return self._classes.setdefault(number, Moments(size, with_products=False))

    def _outputs(self) -> OutputProfile | None:
        if self.plan.outputs is None:
            return None
        scores, kind, embedding, scale = self.plan.outputs
        means, within = np.empty((0, 0)), np.empty((0, 0))
        if self._embeddings is not None:
            means, covariance = self._by_class(self._embeddings)
            within = whitening(covariance)
        return OutputProfile(scores, kind, embedding, scale, means, within)

    def _by_class(self, everything: Moments) -> tuple[Array, Array]:
        """Returns the mean embedding of every class, and the covariance around them."""
        overall = everything.mean(EMBEDDING_UNIT)
        # A class that no sample was taken for is expected where all samples are.
        means = np.tile(overall, (max(self._classes) + 1, 1))
        covariance = everything.covariance(EMBEDDING_UNIT)
        for number, moments in sorted(self._classes.items()):
            means[number] = moments.mean(EMBEDDING_UNIT)
            offset = means[number] - overall
            covariance -= moments.count / everything.count * np.outer(offset, offset)
        return means, covariance


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

    def merge(self, other: Self) -> None:
        """Adds what another one, of the same frozen fit, has seen.

        Raises:
            UsageError: the fits have different plans.
        """
        _check_same(self.usual.plan == other.usual.plan)
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
    largest = max(inputs, outputs)
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
    return {"signal": signal, "model": model}


def _joint(moments: Moments) -> Joint | None:
    if not moments.with_products:
        return None
    return Joint(moments.mean(features.UNIT), whitening(moments.covariance(features.UNIT)))


def _check_same(same: bool) -> None:
    if not same:
        raise UsageError("only parts of one and the same run can be merged")
