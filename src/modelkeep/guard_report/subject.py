"""A model with its guard, as the report asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.contract import Contract
from modelkeep.errors import InputError, UsageError
from modelkeep.guard import ContractCheck, Guard, GuardFinding
from modelkeep.guard.faults import in_type
from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Array
from modelkeep.guard.tails import MOST

Sample = Mapping[str, Array]
Classes = NDArray[np.int64]
Run = Callable[[Sample], Mapping[str, Any]]

# What callers get: outputs, an InputError, or the runtime's own refusal.
ACCEPTED, REFUSED, FAILED = "accepted", "refused", "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What model and guard make of one call.

    Attributes:
        contract: whether the input contract refuses it; then the model is not run.
        readings: what every rule of the guard makes of it.
        logits: scores [samples, classes], or None.
        failure: why the runtime could not run the model, or None.
    """

    contract: bool
    readings: tuple[GuardFinding, ...]
    logits: NDArray[np.float64] | None
    failure: UsageError | None = None

    @property
    def alarms(self) -> frozenset[str]:
        """Names of the stages that give an alarm."""
        found = {reading.stage for reading in self.readings if reading.is_alarm}
        return frozenset(found | {"contract"} if self.contract else found)

    @property
    def surprise(self) -> float:
        """Score of the inputs in the stage ``signal``; as high as can be where they cannot be read."""
        found = (each.score for each in self.readings if each.rule == "surprise")
        return min(next(found, MOST), MOST)

    @property
    def verdict(self) -> str:
        """What a caller of the session gets, as these readings have it."""
        if self.contract or any(each.is_alarm and each.action == "reject" for each in self.readings):
            return REFUSED
        return ACCEPTED if self.failure is None else FAILED

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
    """A running model with a guard: a plain one, or one that a session has opened.

    Attributes:
        run: runs the model on inputs that keep the contract, whatever the guard makes of them.
        contract: what inputs must look like, or None.
        guard: the guard.
        call: what callers of the model call, which refuses; None for a plain model, which has no callers.
        layout: how to read the input that faults and attacks change: the largest one.
        stages: names of all that can give an alarm: the contract, and the stages that are not off.
    """

    def __init__(
        self, run: Run, contract: Contract | None, guard: Guard, sample: Sample, call: Run | None = None
    ) -> None:
        self.run, self.contract, self.guard, self.call = run, contract, guard, call
        active = (stage.name for stage in guard.profile.stages if stage.action != "off")
        self.stages = ("contract", *active)
        layouts = [usual.layout for usual in guard.profile.inputs if usual.layout.name in sample]
        self.layout: Layout = max(layouts, key=lambda layout: sample[layout.name].size)

    def ask(self, sample: Sample) -> Answer:
        """Returns what the model and its guard make of a call."""
        if self.contract is not None and ContractCheck(self.contract).findings(sample):
            return Answer(True, self.readings(self.guard, sample, {}), None)
        try:
            outputs = self.run(sample)
        except UsageError as failure:  # shapes that the contract leaves open, and the model does not
            return Answer(False, self.readings(self.guard, sample, {}), None, failure)
        return Answer(False, self.readings(self.guard, sample, outputs), self._logits(outputs))

    def readings(self, guard: Guard, sample: Sample, outputs: Mapping[str, Any]) -> tuple[GuardFinding, ...]:
        """Returns what every rule of a guard, this one or a part of it, makes of a call."""
        return guard.readings(sample, outputs, self.run)

    def verdict(self, sample: Sample) -> str | None:
        """Returns what a caller really gets, or None where there are no callers."""
        if self.call is None:
            return None
        try:
            self.call(sample)
        except InputError:
            return REFUSED
        except UsageError:
            return FAILED
        return ACCEPTED

    def changed(self, sample: Sample, values: Array) -> Sample:
        """Returns a sample with other values of the input that is changed, in the input's own type."""
        return {**sample, self.layout.name: in_type(values, sample[self.layout.name].dtype)}

    def _logits(self, outputs: Mapping[str, Any]) -> NDArray[np.float64] | None:
        known = self.guard.profile.outputs
        scores = None if known is None else outputs.get(known.scores)
        if type(scores) is not np.ndarray or scores.ndim != 2 or scores.dtype.kind != "f":
            return None
        with np.errstate(all="ignore"):
            rows = scores.astype(np.float64)
            return rows if known is None or known.kind == "logits" else np.log(np.maximum(rows, 1e-300))
