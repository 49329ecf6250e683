"""An alarm for changes that are small in every single frame but last.

A detector bets against "these frames are like the clean samples". What it would have won by now,
restarted at every frame, grows only if they are not (a Shiryaev-Roberts e-detector): it reaches N
once in N clean frames at most, on average, whenever one looks. Source: Shin, Ramdas, Rinaldo,
"E-detectors: a nonparametric framework for sequential change detection", 2024; spec/guard-v1.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelkeep.guard.causes import feature_at
from modelkeep.guard.meanings import describe
from modelkeep.guard.numbers import Numbers
from modelkeep.guard.packing import number, numbers, pack
from modelkeep.guard.profile import InputProfile
from modelkeep.guard.sequence import BINS, SequenceProfile, bins_of
from modelkeep.guard.signal import Signal
from modelkeep.record import Record

# Bets on a p-value: each of these powers wins against changes of another size.
_POWERS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
# Frames that a bet on features remembers, and how many frames its first guess counts for.
_MEMORY = 32
_FIRST_GUESS = 1.0
_NAMED = 3
_HIGHEST = 1e200
# By how many parts, of eight, the mean is another than usual where it counts as high or low.
_APART = 1.0


class Change:
    """What bets against "these frames are like the clean samples" have won by now.

    Half of the stake is on scores, half on features, each for itself.
    """

    def __init__(self, sequence: SequenceProfile, inputs: tuple[InputProfile, ...]) -> None:
        self._sequence, self._inputs = sequence, inputs
        self._gains = _gains(sequence.chances)
        self._first = [each / each.sum(axis=1, keepdims=True) for each in sequence.bins]
        self._of_scores = 0.0
        self._of_features = [np.zeros(len(each)) for each in sequence.bins]
        self._seen = [np.zeros_like(each) for each in sequence.bins]

    def restart(self) -> None:
        """Forgets everything."""
        self._of_scores = 0.0
        for each in (*self._of_features, *self._seen):
            each.fill(0)

    def add(self, frame: Signal) -> float:
        """Adds a frame; returns what is won by now, half of it by scores and half by features."""
        score = float(frame.scores()[0])
        # The highest level that lies below the score; the last gain is that of no level.
        place = int(np.searchsorted(-self._sequence.levels, -score, side="right"))
        self._of_scores = min((self._of_scores + 1) * float(self._gains[place]), _HIGHEST)
        for place in range(len(self._inputs)):
            self._add_features(place, frame)
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
        order = [int(place) for place in np.argsort(-won, kind="stable")[:_NAMED]]
        # Features that won far less than the first only went along.
        strongest = [place for place in order if won[place] ** 3 >= won[order[0]]]
        words = [
            f"{describe(feature_at(usual, place), usual.layout)} {self._where(number, place)}"
            for place in strongest
        ]
        return usual.layout.name, f"other than usual for many frames: {'; '.join(words)}"

    def to_json(self) -> dict[str, Any]:
        """Returns what is remembered as a JSON value without floats; no frame can be told from it."""
        return {
            "features": [pack(each) for each in self._of_features],
            "scores": self._of_scores.hex(),
            "seen": [pack(each) for each in self._seen],
        }

    def restore(self, record: Record) -> None:
        """Takes up what an earlier watch remembered.

        Raises:
            MalformedError: not what `to_json` returned for this profile.
        """
        with record:
            won, seen = (_parts(record, name, len(self._seen)) for name in ("features", "seen"))
            with won, seen:
                features = [numbers(won, str(k), len(each)) for k, each in enumerate(self._of_features)]
                parts = [
                    numbers(seen, str(k), each.size).reshape(each.shape) for k, each in enumerate(self._seen)
                ]
            scores = number(record, "scores")
            if scores < 0 or not all((each >= 0).all() for each in (*features, *parts)):
                raise record.fault("scores", "must not be negative")
        self._of_scores, self._of_features, self._seen = scores, features, parts

    def _where(self, number: int, place: int) -> str:
        usual, seen = (
            float(parts[place] @ np.arange(BINS)) / max(float(parts[place].sum()), 1e-9)
            for parts in (self._first[number], self._seen[number])
        )
        if abs(seen - usual) < _APART:
            return "within a part of the usual"
        return "mostly high" if seen > usual else "mostly low"


def _parts(record: Record, name: str, count: int) -> Record:
    items = record.items(name, longest=count)
    return Record({str(place): item for place, item in enumerate(items)}, f"state of a stream: {name}")


def _gains(chances: Numbers) -> Numbers:
    """Returns what a bet on the score wins: by the level that it is above of, and above none."""
    values = np.append(chances, 1.0)
    return np.asarray((_POWERS[:, None] * values ** (_POWERS[:, None] - 1)).mean(axis=0))
