"""The inputs of one call, measured and held against what is usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import rules
from modelkeep.guard.causes import Cause, causes
from modelkeep.guard.measurement import measure_input
from modelkeep.guard.profile import GuardProfile, InputProfile

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signal:
    """What the signal stage sees of a call.

    Attributes:
        inputs: what is usual for the inputs that could be read.
        features: of each, [samples, features], and the joint rule behind them.
        surprises: of each, as `features`.
        faults: name and fault of each input that could not be read.
    """

    inputs: tuple[InputProfile, ...]
    features: tuple[NDArray[Any], ...]
    surprises: tuple[Numbers, ...]
    faults: tuple[tuple[str, str], ...]

    @staticmethod
    def of(profile: GuardProfile, inputs: Mapping[str, Any]) -> Signal:
        """Measures the inputs of a call; never raises."""
        known, faults = [], []
        for usual in profile.inputs:
            name = usual.layout.name
            fault = usual.layout.fault(inputs.get(name))
            if fault is None:
                known.append(usual)
            else:
                faults.append((name, fault))
        rows = tuple(
            rules.numbers(measure_input(inputs[each.layout.name], each.layout), each) for each in known
        )
        found = tuple(rules.surprises(each, usual) for each, usual in zip(rows, known, strict=True))
        return Signal(tuple(known), rows, found, tuple(faults))

    def frames(self) -> Iterator[Signal]:
        """Yields the samples of a call one by one; inputs with unequal numbers of them are one sample."""
        counts = {len(rows) for rows in self.features}
        for place in range(counts.pop() if len(counts) == 1 else 1):
            own = slice(place, place + 1)
            rows, found = ([each[own] for each in by_input] for by_input in (self.features, self.surprises))
            yield Signal(self.inputs, tuple(rows), tuple(found), ())

    @property
    def strangest(self) -> str:
        """Name of the input with the highest score."""
        return self.inputs[self._strangest].layout.name

    def scores(self) -> Numbers:
        """Returns the score of each sample."""
        return rules.strangest(self.surprises)

    def causes(self, sample: int, threshold: float) -> tuple[Cause, ...]:
        """Returns why a sample of `scores` is above a threshold, as the strangest input shows it."""
        place = self._strangest
        found = self.surprises[place]
        own = sample if len(self.scores()) > 1 else int(found.max(axis=1).argmax())
        return causes(self.inputs[place], self.features[place][own], found[own], threshold)

    @property
    def _strangest(self) -> int:
        return int(np.argmax([found.max() for found in self.surprises]))
