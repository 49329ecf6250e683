"""What the guard finds, for those who may know; and the little that everybody may."""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from modelkeep.finding import Finding
from modelkeep.guard.causes import Cause

# Said to callers: which rule and how far would tell them how to get past it.
UNUSUAL = Finding("unusual", "*", "inputs like those the model was made for", "something else")
_EDGES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0, 10.0)


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """What one rule makes of a call, mostly an alarm. It holds scores: keep it from whoever sends the inputs.

    Attributes:
        stage: ``signal``, ``model``, or ``client`` for a sequence of requests.
        rule: stable code, for example ``surprise``; ``form`` for what cannot be read at all.
        subject: name of the input or output.
        action: what the profile says to do: ``reject`` or ``flag``.
        score: the score of the strangest sample.
        threshold: what it should have stayed below.
        detail: what is wrong, in words.
        samples: which samples of a batch are above the threshold, counted from 0, the strangest first, at
            most 16; of no alarm, the strangest.
        causes: features that are out, of the strangest sample; of the signal stage's alarms alone.
    """

    stage: str
    rule: str
    subject: str
    action: str
    score: float
    threshold: float
    detail: str
    samples: tuple[int, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def is_alarm(self) -> bool:
        """Whether the score is above the threshold; one that is no number is."""
        return not self.score <= self.threshold

    def __str__(self) -> str:
        samples = f", samples {', '.join(map(str, self.samples))}" if any(self.samples) else ""
        return (
            f"{self.subject}: {self.stage}/{self.rule}: {self.detail}: "
            f"score {self.score:.4g} above {self.threshold:.4g} ({self.action}{samples})"
        )


class Counters:
    """Counts for telemetry: how often what happened, and coarse distances; nothing of any input."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._closeness: dict[str, list[int]] = {}

    def record(
        self, stage: str, scores: Iterable[tuple[str, float, float]], findings: Iterable[GuardFinding]
    ) -> None:
        """Counts one check of one stage.

        Args:
            stage: the stage.
            scores: rule, score and threshold of every rule that was held against it.
            findings: the alarms among them.
        """
        with self._lock:
            self._counts[f"{stage}.checked"] += 1
            for action in {finding.action for finding in findings}:
                self._counts[f"{stage}.{action}"] += 1
            for rule, score, threshold in scores:
                bins = self._closeness.setdefault(f"{stage}.{rule}", [0] * (len(_EDGES) + 1))
                bins[bisect.bisect_left(_EDGES, _ratio(score, threshold))] += 1

    def snapshot(self) -> dict[str, object]:
        """Returns a copy: counts by name, and by rule how many scores fell into each tenth step.

        `closeness` counts score / threshold; its edges are in `edges`.
        """
        with self._lock:
            return {
                "counts": dict(self._counts),
                "closeness": {rule: list(bins) for rule, bins in self._closeness.items()},
                "edges": list(_EDGES),
            }


def _ratio(score: float, threshold: float) -> float:
    # Thresholds of energies can be negative or 0: then only the side counts.
    if threshold > 0:
        return score / threshold
    return 2.0 if score > threshold else 0.0
