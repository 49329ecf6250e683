"""The threshold that follows from the scores of clean samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard import bound


def threshold(scores: NDArray[Any], alpha: float, delta: float) -> float:
    """Returns the threshold that scores of clean samples set; scores above it are alarms.

    With probability 1 - `delta` over the choice of clean samples, at most `alpha` of further
    samples like them lie above it. NaN counts as the largest of all.

    Raises:
        UsageError: there are too few samples for any such threshold.
    """
    allowed = bound.beyond(len(scores), alpha, delta)
    if allowed is None:
        needed, least = bound.samples_needed(alpha, delta), bound.least_alpha(len(scores), delta)
        raise too_few(len(scores), needed, least)
    ordered = np.sort(np.nan_to_num(scores, nan=np.inf, posinf=np.inf, neginf=-np.inf))
    return float(ordered[-(allowed + 1)])


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
