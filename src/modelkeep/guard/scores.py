"""The largest scores of clean samples, and the threshold that follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard import bound

KEPT = 2**16


@dataclass(slots=True)
class TopScores:
    """How many scores were seen, and the largest of them, exactly."""

    count: int = 0
    _largest: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def add(self, scores: Iterable[float]) -> None:
        """Adds scores; NaN counts as the largest of all."""
        new = np.nan_to_num(np.fromiter(scores, np.float64), nan=np.inf, posinf=np.inf, neginf=-np.inf)
        self.count += len(new)
        self._keep(new)

    def merge(self, other: Self) -> None:
        """Adds what another one has seen."""
        self.count += other.count
        self._keep(other._largest)

    def threshold(self, alpha: float, delta: float) -> float:
        """Returns the threshold; scores above it are alarms.

        With probability 1 - `delta` over the choice of clean samples, at most `alpha` of further
        samples like them lie above it.

        Raises:
            UsageError: there were too few samples for any such threshold.
        """
        allowed = bound.beyond(self.count, alpha, delta)
        if allowed is None:
            raise too_few(
                self.count, bound.samples_needed(alpha, delta), bound.least_alpha(self.count, delta)
            )
        # With more scores than are kept, a higher threshold than needed is still a true one.
        return float(self._largest[-min(allowed + 1, len(self._largest))])

    def _keep(self, new: NDArray[np.float64]) -> None:
        self._largest = np.sort(np.concatenate([self._largest, new]))[-KEPT:]


def _round_up(rate: float) -> str:
    """Returns a rate with two digits, rounded up."""
    step = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return f"{math.ceil(rate / step) * step:.2g}"


def too_few(count: int, needed: int, least_alpha: float) -> UsageError:
    """Returns the error that says how many samples are needed, and what these would do for."""
    enough_for = f"alpha {_round_up(least_alpha)}" if least_alpha < bound.LARGEST_RATE else "none at all"
    return UsageError(
        f"{count} samples to set thresholds with are too few: {needed} are needed, and others for the fit",
        hint=f"add samples, or accept a larger alpha or delta; so many allow {enough_for}",
    )
