"""The inputs of one call, measured and held against what is usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import rules
from modelkeep.guard.causes import Cause, causes
from modelkeep.guard.features import Features
from modelkeep.guard.measurement import measure_input
from modelkeep.guard.numbers import Numbers
from modelkeep.guard.profile import GuardProfile, InputProfile


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
    def of(
        usual: Sequence[InputProfile], inputs: Mapping[str, Any], within: GuardProfile | None = None
    ) -> Signal:
        """Measures the inputs of a call; never raises.

        Args:
            usual: what is usual for each input.
            inputs: arrays by input name.
            within: the publisher's profile, where `usual` is that of a site.
        """
        known, faults = [], []
        for each in usual:
            name = each.layout.name
            fault = each.layout.fault(inputs.get(name))
            if fault is None:
                known.append(each)
            else:
                faults.append((name, fault))
        measured = {each.layout.name: measure_input(inputs[each.layout.name], each.layout) for each in known}
        return Signal.measured(known, measured, within, tuple(faults))

    @staticmethod
    def measured(
        usual: Sequence[InputProfile],
        features: Mapping[str, Features],
        within: GuardProfile | None = None,
        faults: tuple[tuple[str, str], ...] = (),
    ) -> Signal:
        """Holds inputs that are measured already against what is usual; see `of`."""
        rows = tuple(rules.numbers(features[each.layout.name], each) for each in usual)
        found = tuple(_surprises(row, each, within) for row, each in zip(rows, usual, strict=True))
        return Signal(tuple(usual), rows, found, faults)

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
        if len(self.surprises) == 1:
            return 0
        return int(np.argmax([found.max() for found in self.surprises]))


def _surprises(rows: NDArray[Any], usual: InputProfile, within: GuardProfile | None) -> Numbers:
    if within is None or within.outer is None:
        return rules.surprises(rows, usual)
    publisher = next(each for each in within.inputs if each.layout.name == usual.layout.name)
    return rules.limited(rows, usual, publisher, within.outer)
