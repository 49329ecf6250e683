"""One attack on one input: tries, and what came of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard_report.attacks import Attack, Task, allowed, grid_of
from modelkeep.guard_report.subject import Answer, Classes, Sample, Subject

# An attack that comes from another class has won when it is this near: root mean square over the range.
NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attack.

    Attributes:
        won: the model was wrong about the best input found.
        passed: and the guard gave no alarm about it.
        tries: how often the model was asked.
    """

    won: bool
    passed: bool
    tries: int

    def to_json(self) -> dict[str, object]:
        """Returns the outcome as a JSON value."""
        return asdict(self)


class Search:
    """Tries what an attack proposes and keeps the best.

    Args:
        subject: model and guard.
        sample: the clean call.
        attack: the way to attack.
        task: what is attacked.
        adaptive: whether only what the guard lets pass is kept, and levels are respected.
    """

    def __init__(
        self, subject: Subject, sample: Sample, attack: Attack, task: Task, *, adaptive: bool
    ) -> None:
        self._subject, self._sample, self._attack, self._task = subject, sample, attack, task
        self._adaptive = adaptive
        self._grid = grid_of(task.start, task.layout) if adaptive else None
        self._best: NDArray[np.float64] = task.start
        self._value, self._outcome = math.inf, Outcome(False, False, 0)

    def run(self, classes: Classes, tries: int) -> Outcome:
        """Returns what at most `tries` tries give, against the classes of the clean call."""
        for done in range(tries):
            proposed = self._attack.propose(self._task, self._best, done / tries)
            tried = allowed(self._task, proposed, self._grid)
            answer = self._subject.ask(self._subject.changed(self._sample, tried))
            self._keep(tried, answer, answer.lead(classes), done + 1)
            if self._outcome.won:
                break
        return self._outcome

    def _keep(self, tried: NDArray[np.float64], answer: Answer, lead: float, tries: int) -> None:
        distance = self._distance(tried)
        value = lead
        if self._attack.approaches:
            value = distance if lead < 0 else math.inf
        passed = not answer.alarms
        won = lead < 0 and (distance <= NEAR or not self._attack.approaches)
        if value < self._value and (passed or not self._adaptive):
            self._best, self._value = tried, value
            self._outcome = Outcome(won, won and passed, tries)
        else:
            self._outcome = Outcome(self._outcome.won, self._outcome.passed, tries)

    def _distance(self, tried: NDArray[np.float64]) -> float:
        extent = self._task.layout.high - self._task.layout.low
        return float(np.sqrt(((tried - self._task.start) ** 2).mean())) / extent
