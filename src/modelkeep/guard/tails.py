"""How surprising a value is: minus the logarithm of the chance of one at least as far out.

Each feature has a tail to either side, fitted to the clean samples beyond its 5 % and 95 % quantiles:
a generalised Pareto distribution by the method of moments, whose exponent lies between 0 (exponential)
and 1/2. Whatever these tails say, the promise about false alarms is kept by the threshold, which is set
with other samples. Source: Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001,
chapter 4; Hosking, Wallis, Technometrics 29 (1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.numbers import Numbers

Rows = NDArray[Any]

# Of all samples, these shares do not exceed a quantile; the histograms over time have them as edges.
SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_LOW, _MEDIAN, _HIGH = SHARES.index(0.05), SHARES.index(0.5), SHARES.index(0.95)
SCALE = 3  # of the four numbers of a tail
_EVEN = math.log(2)
_LARGEST_EXPONENT = 0.5
_OUT_OF_PROPORTION = 50
MOST = 2.0**30
_EXPONENTIAL = 1e-6
# Surprises are cut to multiples of 1 / _GRAIN: logarithms differ in their last bit from one processor to
# the next, and a sample that is as strange as the threshold must not become an alarm by that.
_GRAIN = 2.0**20
_NO_SCALE = 2.0**-1000  # makes everything beyond as surprising as can be


@dataclass(frozen=True, slots=True)
class Tails:
    """What is usual for some numbers, one by one.

    Attributes:
        quantiles: [size, 7]: the quantiles of `SHARES`.
        tails: [size, 2, 4]: to the 5 % quantile and to the 95 % one, the surprise of the quantile itself,
            that of the first value beyond, the exponent, and the scale; beyond a tail of scale 0 everything
            is as surprising as can be.
        medians: [size].
        sides: [2, 6, size]: what `surprises` computes with, below and above the medians.
    """

    quantiles: Numbers
    tails: Numbers
    medians: Numbers = field(init=False, repr=False, compare=False)
    sides: NDArray[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        medians = self.quantiles[:, _MEDIAN]
        reaches = np.abs(self.quantiles[:, [_LOW, _HIGH]] - medians[:, None]).T
        last, first, exponents, scales = self.tails.transpose(2, 1, 0)
        # So that nothing is divided by 0.
        sides = np.stack(
            [
                reaches,
                np.where(reaches > 0, reaches, 1.0),
                last - _EVEN,
                first,
                np.where(exponents > _EXPONENTIAL, exponents, 0.0),
                np.where(scales > 0, scales, _NO_SCALE),
            ],
            axis=1,
        )
        object.__setattr__(self, "medians", medians)
        object.__setattr__(self, "sides", sides)

    @property
    def seldom_move(self) -> NDArray[np.bool_]:
        """Whether nine of ten samples, at least, have the same number, [size]."""
        return np.asarray(self.quantiles[:, _LOW] == self.quantiles[:, _HIGH])

    def surprises(self, rows: Rows) -> Numbers:
        """Returns how surprising each number is: 0 at the median, and growing to either side.

        Args:
            rows: [samples, size].
        """
        offsets = rows - self.medians
        reaches, divisors, slopes, *tail = np.where(
            offsets[:, None] > 0, self.sides[1], self.sides[0]
        ).swapaxes(0, 1)
        distances = np.abs(offsets)
        excesses = distances - reaches
        inside = np.where(distances > 0, _EVEN + slopes * (distances / divisors), 0.0)
        found = np.where(excesses > 0, _beyond(np.maximum(excesses, 0.0), *tail), inside)
        return np.asarray(np.floor(found * _GRAIN) / _GRAIN)


def _beyond(excesses: Numbers, first: Numbers, exponents: Numbers, scales: Numbers) -> Numbers:
    heights = excesses / scales
    heavy = np.log1p(exponents * heights) / np.maximum(exponents, _EXPONENTIAL)
    return np.minimum(first + np.where(exponents > 0, heavy, heights), MOST)


def fit_tails(rows: Rows, missing: int, least: Numbers, alike: Sequence[slice] = ()) -> Tails:
    """Returns the tails of clean samples.

    Args:
        rows: [samples, size] of whole numbers, at least one sample.
        missing: what stands for a number that a sample does not have.
        least: [size]: smallest scale of a tail that any sample lies in; 0 for numbers that are exact.
        alike: which numbers are of one kind, as those of all columns.
    """
    columns = [_fit(column[column != missing], each) for column, each in zip(rows.T, least, strict=True)]
    found = Tails(np.array([each for each, _ in columns]), np.array([tails for _, tails in columns]))
    for kind in alike:
        _share_steps(found.tails[kind, :, SCALE], least[kind], found.seldom_move[kind])
    return Tails(found.quantiles, found.tails)


def _share_steps(scales: Numbers, least: Numbers, seldom_move: NDArray[np.bool_]) -> None:
    """Lets numbers that never moved step as far as those of their kind that seldom do.

    Of many columns that are nearly always 0, some are 0 in every fitted sample. That one of them is not, for
    once, is as strange as it is rare; how far it moves tell the others.
    """
    for side in scales.T:
        moved = side > least
        if (seldom_move & moved).any():
            side[seldom_move & ~moved] = np.median(side[seldom_move & moved])


def _fit(column: Rows, least: float) -> tuple[list[float], list[list[float]]]:
    ordered = np.sort(column) if len(column) else np.zeros(1, np.int64)
    places = [max(0, -int(-share * len(ordered) // 1) - 1) for share in SHARES]
    quantiles = ordered[places].astype(np.float64)
    below, above = quantiles[_LOW] - ordered, ordered - quantiles[_HIGH]
    return quantiles.tolist(), [_tail(each, least) for each in (below, above)]


def _tail(distances: Numbers, least: float) -> list[float]:
    """Returns both surprises, the exponent and the scale of the tail beyond a quantile."""
    excesses, chances = distances[distances > 0], len(distances) + 1
    last = -math.log((int((distances >= 0).sum()) + 1) / chances)
    first = -math.log((len(excesses) + 1) / chances)
    if not len(excesses):
        return [last, first, 0.0, least]
    # One sample that is out of all proportion must not make a tail that nothing is beyond.
    counted = np.minimum(excesses, _OUT_OF_PROPORTION * float(np.median(excesses)))
    mean = max(float(counted.mean()), least)
    # Of one or two excesses the spread tells nothing.
    variance = float(counted.var()) if len(counted) > 2 else mean * mean
    exponent = min(max(0.5 * (1 - mean * mean / variance), 0.0), _LARGEST_EXPONENT) if variance > 0 else 0.0
    return [last, first, exponent, max(mean * (1 - exponent), least)]
