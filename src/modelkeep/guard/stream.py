"""A stream of frames: frozen ones, and changes that are small in every single frame but last.

For a change, a detector bets against "these frames are like the clean samples". What it would have won
by now, restarted at every frame, grows only if they are not (a Shiryaev-Roberts e-detector): it is above
N once in N clean frames at most, on average, whenever one looks. Source: Shin, Ramdas, Rinaldo,
"E-detectors: a nonparametric framework for sequential change detection", 2024; spec/guard-v1.md.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard.causes import feature_at
from modelkeep.guard.findings import Counters, GuardFinding
from modelkeep.guard.meanings import describe
from modelkeep.guard.profile import GuardProfile, InputProfile
from modelkeep.guard.sequence import BINS, SequenceProfile, bins_of
from modelkeep.guard.signal import Signal

_LOG = logging.getLogger("modelkeep.guard")

Numbers = NDArray[np.float64]

# Bets on a p-value: each of these powers wins against changes of another size.
_POWERS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
# Frames that a bet on features remembers, and how many frames its first guess counts for.
_MEMORY = 32
_FIRST_GUESS = 1.0
_NAMED = 3
_HIGHEST = 1e200
# Where the mean of the parts, 0 to 7, counts as high or low.
_LOW, _HIGH = 2.5, 4.5
# Distances of neighbouring frames that tell how a live stream moves, and how much less is nearly frozen.
_NEIGHBOURS = 256
_NEARLY = 0.25
_REMEMBERED = 64


class StreamGuard:
    """Watches the frames of one stream, in their order: one camera, one machine.

    Beside `Guard`, which looks at each frame alone. Its memory does not grow. Alarms go to the logger
    `modelkeep.guard`; after one, the watch begins anew.

    Attributes:
        profile: what is usual.
        counters: what happened so far, for telemetry.
    """

    def __init__(
        self, profile: GuardProfile, *, every: int = 1, apart: float = 1e7, repeats: int | None = 3
    ) -> None:
        """Begins a watch.

        Args:
            profile: what is usual for frames of this stream.
            every: of so many frames one counts for changes, so that they tell something new each; see
                docs/guard.md, "Streams". Frozen frames are looked for in all.
            apart: how many frames that count lie between two false alarms, on average, at least.
            repeats: frames in a row that repeat earlier ones and are an alarm; None not to look. Vectors
                may stand still, and are not looked at.

        Raises:
            UsageError: a setting that makes no sense.
        """
        if every < 1 or not apart >= 10 or (repeats is not None and repeats < 1):
            raise UsageError("every and repeats must be at least 1, and apart at least 10")
        self.profile, self.counters = profile, Counters()
        self._every, self._apart, self._repeats = every, apart, repeats
        self._lock = threading.Lock()
        self._frames = 0
        self._change = Change(profile.sequence, profile.inputs)
        self._still = [Still() for _ in profile.inputs]

    def check(self, inputs: Mapping[str, object]) -> tuple[GuardFinding, ...]:
        """Returns the alarms that a call gives: of rule ``frozen`` or ``change``.

        Args:
            inputs: arrays by input name; a batch is as many frames in their order. What cannot be read is
                left to `Guard`.
        """
        try:
            found = {name: inputs[name] for name in inputs} if isinstance(inputs, Mapping) else {}
        except Exception:  # a foreign object may raise anything at all
            found = {}
        return self.watch(Signal.of(self.profile, found))

    def watch(self, signal: Signal) -> tuple[GuardFinding, ...]:
        """Does what `check` does, with inputs that are measured already."""
        if signal.faults:
            return ()
        with self._lock:
            findings = [finding for frame in signal.frames() for finding in self._watch(frame)]
        for finding in findings:
            _LOG.warning("%s", finding)
        self.counters.record("stream", [], findings)
        return tuple(findings)

    def _watch(self, frame: Signal) -> list[GuardFinding]:
        findings = [] if self._repeats is None else self._frozen(frame)
        self._frames += 1
        if (self._frames - 1) % self._every == 0:
            findings += self._changed(frame)
        return findings

    def _frozen(self, frame: Signal) -> list[GuardFinding]:
        findings = []
        for usual, rows, still in zip(frame.inputs, frame.features, self._still, strict=True):
            if usual.layout.is_vector:
                continue
            count, kind = still.add(rows[0])
            if count == self._repeats:
                detail = f"{count} frames in a row {kind}"
                findings.append(_finding("frozen", usual.layout.name, float(count), count - 1.0, detail))
        return findings

    def _changed(self, frame: Signal) -> list[GuardFinding]:
        won = self._change.add(frame)
        if won < self._apart:
            return []
        subject, detail = self._change.cause()
        self._change.restart()
        return [_finding("change", subject, won, self._apart, detail)]

    def close(self) -> None:
        """Wipes what was remembered of the stream."""
        with self._lock:
            self._change.restart()
            self._still = [Still() for _ in self.profile.inputs]
            self._frames = 0


def _finding(rule: str, subject: str, score: float, threshold: float, detail: str) -> GuardFinding:
    return GuardFinding("stream", rule, subject, "flag", score, threshold, detail)


class Still:
    """Whether the frames of an input stand still: they repeat earlier ones, or nearly."""

    def __init__(self) -> None:
        self._earlier: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._last: NDArray[Any] | None = None
        self._nearest: deque[float] = deque(maxlen=_NEIGHBOURS)
        self._exact = self._near = 0

    def add(self, row: NDArray[Any]) -> tuple[int, str]:
        """Returns how many frames in a row have repeated an earlier one, and how, in words."""
        told = row.tobytes()
        self._exact = self._exact + 1 if told in self._earlier else 0
        self._earlier.append(told)
        self._near = self._near + 1 if self._is_near(row) else 0
        self._last = row
        if self._exact >= self._near:
            return self._exact, "repeat earlier ones"
        return self._near, "hardly differ from the one before"

    def _is_near(self, row: NDArray[Any]) -> bool:
        """Whether a frame is far closer to the one before than live frames of this stream ever were."""
        if self._last is None:
            return False
        distance = float(np.abs(row - self._last).sum())
        if len(self._nearest) < _NEIGHBOURS:
            if distance > 0:
                self._nearest.append(distance)
            return False
        return distance < _NEARLY * min(self._nearest)


class Change:
    """What the bets against "like the clean samples" have won."""

    def __init__(self, sequence: SequenceProfile, inputs: tuple[InputProfile, ...]) -> None:
        self._sequence, self._inputs = sequence, inputs
        self._gains = _gains(sequence.chances)
        self._first = [each / each.sum(axis=1, keepdims=True) for each in sequence.bins]
        self.restart()

    def restart(self) -> None:
        """Forgets everything."""
        self._of_scores = 0.0
        self._of_features = [np.zeros(len(each)) for each in self._sequence.bins]
        self._seen = [np.zeros_like(each) for each in self._sequence.bins]

    def add(self, frame: Signal) -> float:
        """Adds a frame; returns what is won by now, half of it by scores and half by features."""
        score = float(frame.scores()[0])
        # The highest level that lies below the score; the last gain is that of no level.
        place = int(np.searchsorted(-self._sequence.levels, -score, side="right"))
        self._of_scores = min((self._of_scores + 1) * float(self._gains[place]), _HIGHEST)
        for number in range(len(self._inputs)):
            self._add_features(number, frame)
        features = np.concatenate(self._of_features)
        return 0.5 * self._of_scores + 0.5 * float(features.mean())

    def _add_features(self, number: int, frame: Signal) -> None:
        bins = bins_of(frame.features[number], self._inputs[number].tails)[0]
        chances, seen = self._sequence.bins[number], self._seen[number]
        guesses = seen + _FIRST_GUESS * self._first[number]
        places = np.arange(len(bins)), bins
        gains = guesses[places] / guesses.sum(axis=1) / chances[places]
        self._of_features[number] = np.minimum((self._of_features[number] + 1) * gains, _HIGHEST)
        seen *= 1 - 1 / _MEMORY
        seen[places] += 1

    def cause(self) -> tuple[str, str]:
        """Returns the input that changed most, and its features that did, in words."""
        number = int(np.argmax([won.max() for won in self._of_features]))
        usual, won = self._inputs[number], self._of_features[number]
        strongest = [int(place) for place in np.argsort(-won, kind="stable")[:_NAMED]]
        words = [
            f"{describe(feature_at(usual, place), usual.layout)} {self._where(number, place)}"
            for place in strongest
        ]
        return usual.layout.name, f"other than usual for many frames: {'; '.join(words)}"

    def _where(self, number: int, place: int) -> str:
        parts = self._seen[number][place]
        middle = float(parts @ np.arange(BINS)) / max(float(parts.sum()), 1e-9)
        return (
            "mostly high"
            if middle > BINS / 2 + 0.5
            else "mostly low"
            if middle < BINS / 2 - 1.5
            else "narrow"
        )


def _gains(chances: Numbers) -> Numbers:
    """Returns what a bet on the score wins: by the level that it is above of, and above none."""
    values = np.append(chances, 1.0)
    return np.asarray((_POWERS[:, None] * values ** (_POWERS[:, None] - 1)).mean(axis=0))
