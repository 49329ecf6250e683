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
    def measured(
        usual: Sequence[InputProfile],
        features: Mapping[str, Features],
        within: GuardProfile | None = None,
    ) -> Signal:
        """Holds inputs that are measured already against what is usual.

        Args:
            usual: what is usual for each input.
            features: by input name.
            within: the publisher's profile, where `usual` is that of a site.
        """
        held = [held_against(features[each.layout.name], each, within) for each in usual]
        return Signal(tuple(usual), tuple(rows for rows, _ in held), tuple(found for _, found in held), ())

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


def held_against(
    features: Features, usual: InputProfile, within: GuardProfile | None
) -> tuple[NDArray[Any], Numbers]:
    """Returns the numbers of an input's samples and their surprises; see `Signal.measured`."""
    rows = rules.numbers(features, usual)
    if within is None or within.outer is None:
        return rows, rules.surprises(rows, usual)
    publisher = next(each for each in within.inputs if each.layout.name == usual.layout.name)
    return rows, rules.limited(rows, usual, publisher, within.outer)
