"""One attack on one input: tries, and what came of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from modelkeep.guard_report.attacks import Attack, Task, Values, allowed, grid_of
from modelkeep.guard_report.subject import Answer, Classes, Sample, Subject

# An attack that comes from another class has won when it is this near: root mean square over the range.
NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """The best that an attack found.

    Attributes:
        values: the input as it was tried.
        answer: what model and guard make of it.
        won: whether the model is wrong about it.
    """

    values: Values
    answer: Answer
    won: bool


class Search:
    """Tries what an attack proposes and keeps the best.

    Args:
        subject: model and guard.
        sample: the clean call.
        attack: the way to attack.
        task: what is attacked.
        adaptive: whether only what the guard lets pass is kept, and levels are respected.

    Attributes:
        tries: how often the model was asked.
    """

    def __init__(
        self, subject: Subject, sample: Sample, attack: Attack, task: Task, *, adaptive: bool
    ) -> None:
        self._subject, self._sample, self._attack, self._task = subject, sample, attack, task
        self._adaptive = adaptive
        self._grid = grid_of(task.start, task.layout) if adaptive else None
        self._value = math.inf
        self._best: Found | None = None
        self.tries = 0

    def run(self, classes: Classes, tries: int) -> Found | None:
        """Returns an input about which the model does not say `classes`, or None after that many tries."""
        while self.tries < tries and not (self._best is not None and self._best.won):
            best = self._task.start if self._best is None else self._best.values
            tried = self.allowed(self._attack.propose(self._task, best, self.tries / tries))
            answer = self._subject.ask(self._subject.changed(self._sample, tried))
            self.tries += 1
            self._keep(tried, answer, answer.lead(classes))
        return self._best if self._best is not None and self._best.won else None

    def allowed(self, values: Values) -> Values:
        """Returns values within the range, and on the levels of the clean input if they must be."""
        return allowed(self._task, values, self._grid)

    def _keep(self, tried: Values, answer: Answer, lead: float) -> None:
        distance = self._distance(tried)
        value = lead
        if self._attack.approaches:
            value = distance if lead < 0 else math.inf
        if value < self._value and not (self._adaptive and answer.alarms):
            won = lead < 0 and (distance <= NEAR or not self._attack.approaches)
            self._best, self._value = Found(tried, answer, won), value

    def _distance(self, tried: Values) -> float:
        extent = self._task.layout.high - self._task.layout.low
        return float(np.sqrt(((tried - self._task.start) ** 2).mean())) / extent
