"""What a device may tell of its guard: one small document that merges over devices and over time.

It holds counts alone: how often stages gave alarms, how many scores and features lay in which part of what is
usual, and what clean samples gave there. No inputs, no scores, no thresholds. Source: spec/guard-v1.md,
"Telemetry".
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME
from modelkeep.errors import UsageError
from modelkeep.guard.causes import feature_at
from modelkeep.guard.counters import Counted
from modelkeep.guard.profile import LARGEST_PROFILE, LEVELS, GuardProfile
from modelkeep.guard.sequence import BINS
from modelkeep.record import Record
from modelkeep.storage import read_as, write_file

_WHAT = "telemetry of a guard"
_FORMAT = "modelkeep/telemetry"
_MOST = 65_536
_MOST_COUNTS = 256
_HOUR = 3600
# Clean scores of 10,000 that lie below the first level, between the first and the second, ...
_USUAL_SCORES = tuple(np.diff(np.rint(np.array([0.0, *LEVELS, 1.0]) * 10_000)).astype(int).tolist())
# Chance that anything is called shifted though nothing is.
_CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class Histogram:
    """Where some numbers lay, against where clean ones did.

    Attributes:
        name: what they are: stage, rule and subject of a score; input and code of a feature.
        usual: clean samples in each part.
        seen: inputs in each part.
    """

    name: str
    usual: tuple[int, ...]
    seen: tuple[int, ...]

    @property
    def shift(self) -> float:
        """Which share of inputs lies elsewhere than clean ones would, 0 to 1; 0 without any."""
        if not sum(self.seen):
            return 0.0
        pairs = zip(self.usual, self.seen, strict=True)
        return 0.5 * sum(abs(usual / sum(self.usual) - seen / sum(self.seen)) for usual, seen in pairs)

    def noise(self, among: int) -> float:
        """Returns the shift up to which chance alone explains the largest of `among` histograms.

        For inputs that do not depend on each other. Source: Weissman et al., "Inequalities for the L1
        deviation of the empirical distribution", 2003.
        """
        room = len(self.usual) * math.log(2) + math.log(among / _CHANCE)
        return sum(math.sqrt(room / (2 * max(sum(each), 1))) for each in (self.usual, self.seen))


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What happened under one profile in some time, on one device or on many.

    Attributes:
        model: digest of the model, 32 bytes.
        profile: SHA-256 of the profile.
        begun: seconds since 1970 when counting began, in whole hours.
        ended: when it ended, likewise.
        counts: how often what happened, for example ``signal.checked`` and ``signal.reject``.
        scores: by rule; more inputs in the last parts than usual are stranger ones.
        features: of each input of the profile.
    """

    model: bytes
    profile: bytes
    begun: int
    ended: int
    counts: dict[str, int]
    scores: tuple[Histogram, ...]
    features: tuple[Histogram, ...]

    @staticmethod
    def of(profile: GuardProfile, counted: Counted, *others: Counted) -> Telemetry:
        """Returns what counters have counted under a profile, with the events that others have."""
        scores = (Histogram(name, _USUAL_SCORES, tuple(seen)) for name, seen in counted.closeness.items())
        features = (
            Histogram(f"{usual.layout.name}.{feature_at(usual, row)}", tuple(clean), tuple(seen))
            for place, usual in enumerate(profile.inputs)
            for row, (clean, seen) in enumerate(
                zip(profile.sequence.counts[place].tolist(), counted.features[place].tolist(), strict=True)
            )
        )
        return Telemetry(
            profile.model,
            hashlib.sha256(profile.to_bytes()).digest(),
            int(counted.begun) // _HOUR * _HOUR,
            -(-int(time.time()) // _HOUR) * _HOUR,
            dict(sum((Counter(each.counts) for each in others), Counter(counted.counts))),
            tuple(scores),
            tuple(features),
        )

    @staticmethod
    def merged(parts: Iterable[Telemetry]) -> Telemetry:
        """Returns what several devices, or several times of one, come to together.

        Raises:
            UsageError: nothing to merge, or parts under different profiles.
        """
        together: Telemetry | None = None
        for part in parts:
            together = part if together is None else together._with(part)
        if together is None:
            raise UsageError("no telemetry to merge")
        return together

    def shifted(self) -> list[Histogram]:
        """Returns the features that shifted by more than chance explains, the furthest first."""
        beyond = [each for each in self.features if each.shift > each.noise(len(self.features))]
        return sorted(beyond, key=lambda each: -each.shift)

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON value without floats."""
        return {
            "begun": self.begun,
            "counts": dict(self.counts),
            "ended": self.ended,
            "features": [_to_json(each) for each in self.features],
            "format": _FORMAT,
            "model": self.model.hex(),
            "profile": self.profile.hex(),
            "scores": [_to_json(each) for each in self.scores],
            "version": 1,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the document, over an earlier one.

        Raises:
            StorageError: cannot be written.
        """
        write_file(path, canonical.encode(self.to_json()), force=True)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Telemetry:
        """Reads a document.

        Raises:
            StorageError: cannot be read.
            MalformedError: not such a document.
        """
        return read_as(path, LARGEST_PROFILE, _WHAT, lambda data: _parsed(canonical.decode(data, _WHAT)))

    def _with(self, other: Telemetry) -> Telemetry:
        names = [[each.name for each in (*part.scores, *part.features)] for part in (self, other)]
        if self.profile != other.profile or names[0] != names[1]:
            raise UsageError(
                "telemetry of different profiles does not add up", hint="merge that of one profile alone"
            )
        return replace(
            self,
            begun=min(self.begun, other.begun),
            ended=max(self.ended, other.ended),
            counts=dict(Counter(self.counts) + Counter(other.counts)),
            scores=_added(self.scores, other.scores),
            features=_added(self.features, other.features),
        )


def _added(first: Sequence[Histogram], second: Sequence[Histogram]) -> tuple[Histogram, ...]:
    return tuple(
        replace(one, seen=tuple(map(sum, zip(one.seen, two.seen, strict=True))))
        for one, two in zip(first, second, strict=True)
    )


def _to_json(histogram: Histogram) -> dict[str, Any]:
    return {"name": histogram.name, "seen": list(histogram.seen), "usual": list(histogram.usual)}


def _parsed(value: object) -> Telemetry:
    with Record(value, _WHAT) as record:
        record.check_format(_FORMAT, 1)
        begun, ended = (record.integer(name, highest=LATEST_TIME) for name in ("begun", "ended"))
        if begun > ended:
            raise record.fault("begun", "must not lie behind its end")
        return Telemetry(
            record.hexadecimal("model", 32),
            record.hexadecimal("profile", 32),
            begun,
            ended,
            _counts(record),
            _histograms(record, "scores", len(_USUAL_SCORES)),
            _histograms(record, "features", BINS),
        )


def _counts(record: Record) -> dict[str, int]:
    value = record.anything("counts")
    if not isinstance(value, dict) or len(value) > _MOST_COUNTS:
        raise record.fault("counts", "must be an object of few members")
    with Record(value, f"{_WHAT}: counts") as counts:
        return {name: counts.integer(name) for name in value}


def _histograms(record: Record, name: str, parts: int) -> tuple[Histogram, ...]:
    found = []
    for item in record.items(name, longest=_MOST):
        with Record(item, f"{_WHAT}: {name}") as histogram:
            usual, seen = (_numbers(histogram, each, parts) for each in ("usual", "seen"))
            if not sum(usual):
                raise histogram.fault("usual", "must count something")
            found.append(Histogram(histogram.text("name"), usual, seen))
    return tuple(found)


def _numbers(record: Record, name: str, count: int) -> tuple[int, ...]:
    items = record.items(name, longest=count)
    if len(items) != count:
        raise record.fault(name, f"must be {count} numbers")
    with Record({str(place): item for place, item in enumerate(items)}, f"{_WHAT}: {name}") as numbers:
        return tuple(numbers.integer(str(place)) for place in range(count))
