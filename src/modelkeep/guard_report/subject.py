"""A model with its guard, as the report asks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.contract import Contract
from modelkeep.guard import Guard, GuardFinding, check
from modelkeep.guard.layout import Layout
from modelkeep.runtimes.registry import Runner

Array = NDArray[Any]
Sample = Mapping[str, Array]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """What model and guard make of one call.

    Attributes:
        contract: whether the input contract refuses it; then the model is not run.
        readings: what every rule of the guard makes of it.
        logits: scores [samples, classes], or None.
    """

    contract: bool
    readings: tuple[GuardFinding, ...]
    logits: NDArray[np.float64] | None

    @property
    def alarms(self) -> frozenset[str]:
        """Names of the stages that give an alarm."""
        found = {reading.stage for reading in self.readings if reading.is_alarm}
        return frozenset(found | {"contract"} if self.contract else found)

    @property
    def classes(self) -> Classes | None:
        """Predicted class of each sample, or None."""
        return None if self.logits is None else self.logits.argmax(axis=1)

    def lead(self, classes: Classes) -> float:
        """Returns by how much the least certain sample still is of its class; below 0, it is not."""
        if self.logits is None or len(self.logits) != len(classes):
            return np.inf
        own = np.arange(self.logits.shape[1]) == classes[:, None]
        rival = np.where(own, -np.inf, self.logits).max(axis=1)
        return float((self.logits[own] - rival).min())


class Subject:
    """A running model with a guard.

    Attributes:
        guard: the guard.
        layout: how to read the input that faults and attacks change: the largest one.
    """

    def __init__(self, runner: Runner, contract: Contract | None, guard: Guard, sample: Sample) -> None:
        self.runner, self.contract, self.guard = runner, contract, guard
        layouts = [usual.layout for usual in guard.profile.inputs if usual.layout.name in sample]
        self.layout: Layout = max(layouts, key=lambda layout: sample[layout.name].size)

    def ask(self, sample: Sample) -> Answer:
        """Returns what the model and its guard make of a call."""
        if self.contract is not None and check(self.contract, sample):
            return Answer(True, self.guard.readings(sample, {}), None)
        outputs = self.runner.run(sample)
        return Answer(False, self.guard.readings(sample, outputs), self._logits(outputs))

    def changed(self, sample: Sample, values: Array) -> Sample:
        """Returns a sample with other values of the input that is changed, in the input's own type."""
        kind = sample[self.layout.name].dtype
        if kind.kind in "iu":
            values = np.rint(values).clip(np.iinfo(kind).min, np.iinfo(kind).max)
        with np.errstate(all="ignore"):
            return {**sample, self.layout.name: np.ascontiguousarray(values.astype(kind))}

    def _logits(self, outputs: Mapping[str, Any]) -> NDArray[np.float64] | None:
        known = self.guard.profile.outputs
        scores = None if known is None else outputs.get(known.scores)
        if type(scores) is not np.ndarray or scores.ndim != 2 or scores.dtype.kind != "f":
            return None
        with np.errstate(all="ignore"):
            rows = scores.astype(np.float64)
            return rows if known is None or known.kind == "logits" else np.log(np.maximum(rows, 1e-300))
