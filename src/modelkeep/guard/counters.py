"""What happened so far: counts, how strange inputs were, and where their features lay; no input itself."""

from __future__ import annotations

import bisect
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.findings import GuardFinding
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.sequence import BINS, count_bins
from modelkeep.guard.signal import Signal

# So many inputs are sorted into histograms together, which costs less than one by one.
_TOGETHER = 64


class Counted(NamedTuple):
    """What was counted since `begun`.

    Attributes:
        begun: seconds since 1970.
        counts: how often what happened, by stage and action.
        closeness: by stage, rule and subject, how many scores lay between which `Stage.levels`.
        features: of each input of the profile [features, 8]: how many values lay in which part; see
            `sequence.count_bins`.
    """

    begun: float
    counts: dict[str, int]
    closeness: dict[str, list[int]]
    features: list[NDArray[np.int64]]


class Counters:
    """Counts for telemetry. Any number of threads may use them."""

    def __init__(self, profile: GuardProfile | None = None) -> None:
        """Begins with nothing; without a profile, only events are counted."""
        self._lock = threading.Lock()
        self._inputs = () if profile is None else profile.inputs
        self._places = {usual.layout.name: place for place, usual in enumerate(self._inputs)}
        stages = () if profile is None else profile.stages
        self._levels = {
            f"{stage.name}.{rule}.{subject}": levels
            for stage in stages
            for (rule, subject), levels in stage.levels.items()
        }
        self._waiting: list[Signal] = []
        self._counted = self._nothing()

    def record(
        self, stage: str, scores: Iterable[tuple[str, str, float]], findings: Iterable[GuardFinding]
    ) -> None:
        """Counts one check of one stage.

        Args:
            stage: the stage.
            scores: rule, subject and score of every rule that was held against it.
            findings: the alarms among them.
        """
        with self._lock:
            counts = self._counted.counts
            for name in ("checked", *{finding.action for finding in findings}):
                counts[f"{stage}.{name}"] += 1
            for rule, subject, score in scores:
                name = f"{stage}.{rule}.{subject}"
                if name in self._levels:
                    self._counted.closeness[name][bisect.bisect_left(self._levels[name], score)] += 1

    def look(self, signal: Signal) -> None:
        """Counts where the features of inputs lie."""
        with self._lock:
            self._waiting.append(signal)
            if len(self._waiting) >= _TOGETHER:
                self._sort()

    def counted(self) -> Counted:
        """Returns a copy of what was counted."""
        with self._lock:
            self._sort()
            begun, counts, closeness, features = self._counted
            copied = {name: list(bins) for name, bins in closeness.items()}
            return Counted(begun, dict(counts), copied, [each.copy() for each in features])

    def restart(self) -> None:
        """Begins anew."""
        with self._lock:
            self._waiting.clear()
            self._counted = self._nothing()

    def _nothing(self) -> Counted:
        closeness = {name: [0] * (len(levels) + 1) for name, levels in self._levels.items()}
        sizes = (len(usual.tails.quantiles) for usual in self._inputs)
        return Counted(
            time.time(), Counter(), closeness, [np.zeros((size, BINS), np.int64) for size in sizes]
        )

    def _sort(self) -> None:
        by_input: dict[str, list[NDArray[np.int64]]] = {}
        for signal in self._waiting:
            for usual, rows in zip(signal.inputs, signal.features, strict=True):
                by_input.setdefault(usual.layout.name, []).append(rows)
        for name, found in by_input.items():
            place = self._places[name]
            self._counted.features[place] += count_bins(np.concatenate(found), self._inputs[place].tails)
        self._waiting.clear()
