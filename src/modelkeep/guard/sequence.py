"""What clean frames are like one after the other: chances that hold given the samples they were set with.

Every chance is an upper bound, and all of them hold together with probability 1 - delta over the choice
of clean samples (Chernoff's bound for each, delta shared between them). So whatever is drawn from a
stream like the samples has p-values that are valid for as long as the profile is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.numbers import Numbers
from modelkeep.guard.tails import SHARES, Tails

Rows = NDArray[Any]

BINS = len(SHARES) + 1
# Scores in the ladder: ranks from the top, each twice as far down.
_STEPS = 40


@dataclass(frozen=True, slots=True)
class SequenceProfile:
    """What is usual for frames of a stream.

    Attributes:
        levels: descending scores.
        chances: of each level, the highest chance that a clean frame scores above it.
        bins: of each input [size, 8]: the highest chance that a feature of a clean frame lies in each part
            that its quantiles cut; the joint rule behind them.
        counts: of each input [size, 8]: how many clean samples lay there.
    """

    levels: Numbers
    chances: Numbers
    bins: tuple[Numbers, ...]
    counts: tuple[NDArray[np.int64], ...]


def bins_of(rows: Rows, tails: Tails) -> NDArray[np.int64]:
    """Returns which part of its histogram each number lies in.

    Args:
        rows: [samples, size], what is missing included: it lies in the last part.
        tails: their quantiles are the edges.
    """
    found: NDArray[np.int64] = (rows[:, :, None] > tails.quantiles).sum(axis=2)
    return found


def count_bins(rows: Rows, tails: Tails) -> NDArray[np.int64]:
    """Returns [size, 8]: how many of some samples lie in which part."""
    beyond = [np.count_nonzero(rows > edge, axis=0) for edge in tails.quantiles.T]
    # Quantiles ascend: what lies beyond one edge and not beyond the next lies between them.
    ends = np.array([np.full(rows.shape[1], len(rows)), *beyond, np.zeros(rows.shape[1])], np.int64)
    return np.ascontiguousarray((ends[:-1] - ends[1:]).T)


def sequence_of(scores: Numbers, counts: Sequence[NDArray[np.int64]], delta: float) -> SequenceProfile:
    """Returns what is usual for frames of a stream.

    Args:
        scores: of the clean samples that set the thresholds.
        counts: of each input [size, 8]: how many of their features lay in which part.
        delta: chance that any of the bounds does not hold.
    """
    ranks = [rank for rank in (2**step - 1 for step in range(_STEPS)) if rank < len(scores)]
    share = delta / (len(ranks) + sum(each.size for each in counts))
    levels = np.sort(scores)[::-1][ranks]
    chances = highest_chances(np.array(ranks), len(scores), share)
    bins = tuple(highest_chances(each, int(each[0].sum()), share) for each in counts)
    return SequenceProfile(levels, chances, bins, tuple(counts))


def highest_chances(seen: NDArray[Any], count: int, delta: float) -> Numbers:
    """Returns the highest chances under which so few would still be seen with at least the chance `delta`.

    Chernoff: P(Binomial(n, p) <= k) is at most exp(-n KL(k / n, p)) for k / n <= p. Source: Hoeffding,
    Journal of the American Statistical Association 58 (1963), theorem 1.

    Args:
        seen: how many of `count` were seen, each.
        count: of the samples.
        delta: chance of an error, for each.
    """
    shares, enough = np.asarray(seen) / count, math.log(1 / delta) / count
    low, high = shares.astype(np.float64), np.ones(shares.shape)
    for _ in range(60):
        middle = (low + high) / 2
        is_possible = _divergence(shares, middle) <= enough
        low, high = np.where(is_possible, middle, low), np.where(is_possible, high, middle)
    # The upper end, so that rounding is on the safe side.
    return high


def _divergence(share: Numbers, chance: Numbers) -> Numbers:
    with np.errstate(all="ignore"):
        seen = np.where(share > 0, share * np.log(share / chance), 0.0)
        others = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - chance)), 0.0)
    return np.asarray(seen + others)
