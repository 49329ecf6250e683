"""What a new profile catches: common faults, tried on clean samples that are at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import bound, rules
from modelkeep.guard.faults import GROSS, faults_for, in_type
from modelkeep.guard.guard import Guard
from modelkeep.guard.layout import Layout
from modelkeep.guard.profile import GuardProfile, Stage

Arrays = Mapping[str, NDArray[Any]]

_SEED = 1
_ENOUGH = 0.9
# With so many clean samples beyond it, a threshold no longer hangs on the strangest of them.
_STEADY = 4
_MOST_SAMPLES = 2**24


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
        """Whether a gross fault mostly passes."""
        return self.is_gross and self.caught < _ENOUGH * self.tried


@dataclass(frozen=True, slots=True)
class Trial:
    """What a profile catches, and what it hangs on.

    Attributes:
        faults: what was tried on the input with the most elements.
        at_maximum: stages whose threshold is the highest score of all clean samples.
        helpful: samples in all, for fit and thresholds together, with which no threshold would be.
    """

    faults: tuple[FaultTrial, ...]
    at_maximum: tuple[str, ...]
    helpful: int

    def warnings(self) -> Iterator[str]:
        """Yields what whoever seals the profile should know."""
        if self.at_maximum:
            stages = " and ".join(self.at_maximum)
            yield (
                f"the threshold of {stages} is the strangest of all clean samples, so one odd sample decides "
                f"what passes: {self.helpful} samples in all would help, or a larger alpha"
            )
        for fault in self.faults:
            if fault.is_missed:
                yield f"{fault.name}: only {fault.caught} of {fault.tried} faulty samples are alarms"


def try_profile(profile: GuardProfile, samples: Sequence[Arrays]) -> Trial:
    """Tries common faults on clean samples.

    Args:
        profile: the profile.
        samples: inputs of some calls; the thresholds may have been set with them.
    """
    rows = tuple(_try_faults(profile, samples)) if samples else ()
    at_maximum = tuple(stage.name for stage in profile.stages if _is_at_maximum(stage, profile))
    return Trial(rows, at_maximum, 2 * max(_steady(stage, profile) for stage in profile.stages))


def _try_faults(profile: GuardProfile, samples: Sequence[Arrays]) -> Iterator[FaultTrial]:
    layouts = [usual.layout for usual in profile.inputs]
    layout = max(layouts, key=lambda layout: samples[0][layout.name].size)
    guard = Guard(profile.with_actions(signal="flag"))
    for name, fault in faults_for(samples[0][layout.name].dtype, layout).items():
        random = np.random.default_rng(_SEED)
        with np.errstate(all="ignore"):
            faulty = (
                _changed(sample, layout, fault(sample[layout.name], layout, random)) for sample in samples
            )
            caught = sum(_is_alarm(guard, sample) for sample in faulty)
        yield FaultTrial(name, caught, len(samples), name in GROSS)


def _changed(sample: Arrays, layout: Layout, values: NDArray[Any]) -> Arrays:
    return {**sample, layout.name: in_type(values, sample[layout.name].dtype)}


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
