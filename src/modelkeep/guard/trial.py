"""What a new profile catches: common faults, tried on clean samples that are at hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import bound, rules
from modelkeep.guard.faults import GROSS, PATCH, faults_for, in_type
from modelkeep.guard.guard import Guard
from modelkeep.guard.layout import Layout
from modelkeep.guard.profile import GuardProfile, Stage

Arrays = Mapping[str, NDArray[Any]]

_SEED = 1
_ENOUGH = 0.9
_ENOUGH_PATCHES = 0.8
# With so many clean samples beyond it, a threshold no longer hangs on the strangest of them.
_STEADY = 4
_MOST_SAMPLES = 2**24
_NAMED = 8
# How much higher than that of well fitted tails a threshold may be: a factor of 20 in chance.
_SLACK = 3.0
_ADVICE = (
    "; where scenes differ much, a patch looks usual: a profile for each site, more samples, "
    "or an embedding for the rule distance sees more"
)


@dataclass(frozen=True, slots=True)
class FaultTrial:
    """A fault, tried on clean samples.

    Attributes:
        name: the fault.
        caught: samples that were alarms of the signal stage.
        tried: all samples.
        is_gross: whether a profile should see it.
    """

    name: str
    caught: int
    tried: int
    is_gross: bool

    @property
    def is_missed(self) -> bool:
        """Whether a fault passes more often than a profile of one kind of scene lets it."""
        if self.name == PATCH:
            return self.caught < _ENOUGH_PATCHES * self.tried
        return self.is_gross and self.caught < _ENOUGH * self.tried


@dataclass(frozen=True, slots=True)
class Trial:
    """What a profile catches, and what it hangs on.

    Attributes:
        faults: what was tried on the input with the most elements.
        at_maximum: stages whose threshold is the highest score of all clean samples.
        helpful: samples in all, for fit and thresholds together, with which no threshold would be.
        odd: calls of clean samples, counted from 1, that are far stranger than the others and raise the
            threshold of the stage ``signal``; none where it lies where it should.
    """

    faults: tuple[FaultTrial, ...]
    at_maximum: tuple[str, ...]
    helpful: int
    odd: tuple[int, ...] = ()

    def warnings(self) -> Iterator[str]:
        """Yields what whoever seals the profile should know."""
        if self.at_maximum:
            stages = " and ".join(self.at_maximum)
            yield (
                f"the threshold of {stages} is the strangest of all clean samples, so one odd sample decides "
                f"what passes: {self.helpful} samples in all would help, or a larger alpha"
            )
        if self.odd:
            calls = ", ".join(map(str, self.odd[:_NAMED])) + (", ..." if len(self.odd) > _NAMED else "")
            yield (
                f"{len(self.odd)} clean samples are far stranger than the others and decide what passes "
                f"(calls {calls}): leave them out if they are faulty, or learn from more that are like them"
            )
        for fault in self.faults:
            if fault.is_missed:
                advice = _ADVICE if fault.name == PATCH else ""
                yield f"{fault.name}: only {fault.caught} of {fault.tried} faulty samples are alarms{advice}"


def try_profile(
    profile: GuardProfile,
    samples: Sequence[Arrays],
    scores: Sequence[float] = (),
    learned: GuardProfile | None = None,
) -> Trial:
    """Tries common faults on clean samples.

    Args:
        profile: the profile.
        samples: inputs of some calls; the thresholds may have been set with them.
        scores: of the stage ``signal``, of every second call from the second on: they set its threshold.
        learned: the part of `profile` whose thresholds these samples set; all of it unless given.
    """
    learned = learned or profile
    rows = tuple(_try_faults(profile, samples)) if samples else ()
    at_maximum = tuple(stage.name for stage in learned.stages if _is_at_maximum(stage, learned))
    helpful = 2 * max(_steady(stage, learned) for stage in learned.stages)
    return Trial(rows, at_maximum, helpful, tuple(_odd(profile, scores)))


def _try_faults(profile: GuardProfile, samples: Sequence[Arrays]) -> Iterator[FaultTrial]:
    layouts = [usual.layout for usual in profile.inputs]
    layout = max(layouts, key=lambda layout: samples[0][layout.name].size)
    guard = Guard(profile.with_actions(signal="flag"))
    for name, fault in faults_for(samples[0][layout.name].dtype, layout).items():
        random = np.random.default_rng(_SEED)
        with np.errstate(all="ignore"):
            faulty = [
                _changed(sample, layout, fault(sample[layout.name], layout, random)) for sample in samples
            ]
        # What a fault leaves as it was, such as black times 255, is not faulty.
        changed = [new for new, old in zip(faulty, samples, strict=True) if _differ(new, old, layout)]
        if changed:
            yield FaultTrial(
                name, sum(_is_alarm(guard, each) for each in changed), len(changed), name in GROSS
            )


def _changed(sample: Arrays, layout: Layout, values: NDArray[Any]) -> Arrays:
    return {**sample, layout.name: in_type(values, sample[layout.name].dtype)}


def _differ(one: Arrays, other: Arrays, layout: Layout) -> bool:
    new, old = one[layout.name], other[layout.name]
    # Grey pictures that are transposed have another shape alone.
    return new.shape != old.shape or new.tobytes() != old.tobytes()


def _odd(profile: GuardProfile, scores: Sequence[float]) -> Iterator[int]:
    """Yields the calls that score as no well fitted input would, where the threshold does as well."""
    features = sum(len(usual.tails.quantiles) for usual in profile.inputs)
    usual = math.log(features / profile.alpha) + _SLACK
    if max(profile.stages[0].thresholds.values()) > usual:
        yield from (2 * place + 2 for place, score in enumerate(scores) if score > usual)


def _is_alarm(guard: Guard, sample: Arrays) -> bool:
    return any(reading.is_alarm for reading in guard.readings(sample, {}))


def _is_at_maximum(stage: Stage, profile: GuardProfile) -> bool:
    shares = rules.shares([rule for rule, _ in stage.thresholds])
    allowed = (
        bound.beyond(profile.calibrated, profile.alpha * each, profile.delta * each) for each in shares
    )
    return any(each == 0 for each in allowed)


def _steady(stage: Stage, profile: GuardProfile) -> int:
    """Returns how many samples set every threshold of a stage with some to spare."""
    part = min(rules.shares([rule for rule, _ in stage.thresholds]))
    low, high = 1, _MOST_SAMPLES
    while low < high:
        middle = (low + high) // 2
        is_enough = (bound.beyond(middle, profile.alpha * part, profile.delta * part) or 0) >= _STEADY
        low, high = (low, middle) if is_enough else (middle + 1, high)
    return low
