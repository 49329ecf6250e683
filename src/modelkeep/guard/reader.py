"""Reads the inputs of calls: measures them, and holds them against what is usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelkeep.guard.judge import Judge
from modelkeep.guard.measurement import measure_input
from modelkeep.guard.numbers import Array
from modelkeep.guard.profile import GuardProfile, InputProfile
from modelkeep.guard.signal import Signal, held_against


class Reader:
    """Reads inputs of one model; any number of threads may."""

    def __init__(self, usual: Sequence[InputProfile], within: GuardProfile | None = None) -> None:
        """Makes a reader.

        Args:
            usual: what is usual for each input.
            within: the publisher's profile, where `usual` is that of a site.
        """
        self._within = within
        is_bound = within is not None and within.outer is not None
        self._inputs = [(each.layout.name, each, None if is_bound else Judge(each)) for each in usual]

    def read(self, inputs: Mapping[str, Any]) -> Signal:
        """Returns what there is to say about the inputs of a call; never raises.

        Args:
            inputs: arrays by input name.
        """
        known, numbers, surprises, faults = [], [], [], []
        for name, usual, judge in self._inputs:
            array = inputs.get(name)
            fault = usual.layout.fault(array)
            if fault is not None:
                faults.append((name, fault))
                continue
            rows, found = self._read(array, usual, judge)
            known.append(usual)
            numbers.append(rows)
            surprises.append(found)
        return Signal(tuple(known), tuple(numbers), tuple(surprises), tuple(faults))

    def _read(self, array: Any, usual: InputProfile, judge: Judge | None) -> tuple[Array, Array]:
        judged = None if judge is None else judge.judged(array)
        return judged or held_against(measure_input(array, usual.layout), usual, self._within)


def plain(values: object) -> dict[str, Any]:
    """Returns a dictionary of what a mapping holds, and an empty one for anything else."""
    try:
        return {name: values[name] for name in values} if isinstance(values, Mapping) else {}
    except Exception:  # a foreign object may raise anything at all
        return {}
