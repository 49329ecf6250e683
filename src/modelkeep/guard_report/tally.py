"""Counts of alarms and refusals over some inputs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from modelkeep.guard_report.shares import share
from modelkeep.guard_report.subject import REFUSED, Answer, Sample, Subject


class Tally:
    """Counts what the guard makes of inputs, and holds it against what callers really get.

    Args:
        subject: the model with its guard.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._seen = Counter(dict.fromkeys(subject.stages, 0))
        self._inputs = self._alarms = self._refused = self._asked = self._differ = 0

    def add(self, sample: Sample, answer: Answer) -> None:
        """Counts one input and the answer to it."""
        self._inputs += 1
        self._seen.update(answer.alarms)
        self._alarms += bool(answer.alarms)
        self._refused += answer.verdict == REFUSED
        given = self._subject.verdict(sample)
        self._asked += given is not None
        self._differ += given is not None and given != answer.verdict

    @property
    def callers(self) -> dict[str, int]:
        """How often callers were asked about the same inputs, and how often they got something else."""
        return {"asked": self._asked, "differ": self._differ}

    def to_json(self) -> dict[str, Any]:
        """Returns the shares of alarms by stage, of any stage, and of refusals; and callers' verdicts."""
        return {
            "alarms": {stage: share(count, self._inputs) for stage, count in self._seen.items()},
            "any": share(self._alarms, self._inputs),
            "refused": share(self._refused, self._inputs),
            "callers": self.callers,
        }
