"""From the statistics of a frame to the numbers that are held against the calibrated envelope.

Suite 1. Every feature is cut to -64 ... 64 and rounded to a multiple of 2^-15, so that sums over
samples are integers and do not depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.layout import Layout
from modelkeep.guard.statistics import Array, summarize
from modelkeep.guard.summary import Summary

SUITE = 1
LIMIT = 64
UNIT = 2**15
_LEAST = 2.0**-20  # of the range; below that, differences are rounding
_LEAST_STEP = 2.0**-30

Features = NDArray[np.int64]

# How much one row stands out, by the sharpness of its edges and by that of its colours.
_ROWS = ("row-edges", "row-tint", "row-edges-over-all", "row-tint-over-all")
_FRAME = ("zeros", "saturated", "stuck-rows", "smallest-step", "entropy", "peak", "not-finite", *_ROWS)
_CHANNEL = ("minimum", "maximum", "mean", "spread", "step-x", "step-y", "edges", "roughness", "grain", "flat")


@lru_cache(maxsize=256)
def names(layout: Layout) -> tuple[str, ...]:
    """Returns the names of the features of an input, in their order."""
    if layout.is_vector:
        return tuple(f"feature-{index}" for index in range(layout.channels))
    by_channel = [f"{name}-{channel}" for channel in range(layout.channels) for name in _CHANNEL]
    links = [f"link-{channel}" for channel in range(layout.channels - 1)]
    return (*_FRAME, *by_channel, *links)


def measure(frame: Array, layout: Layout) -> Features:
    """Returns the features of one frame of an image or a series, as multiples of 1 / `UNIT`."""
    summary = summarize(frame, layout.low, layout.high)
    height, width, _ = frame.shape
    return _quantise(np.array(_values(summary, layout, height, width)))


def measure_vectors(rows: Array) -> Features:
    """Returns the features of vectors [samples, features], as multiples of 1 / `UNIT`."""
    return _quantise(_signed_logarithm(rows))


def _quantise(values: NDArray[np.float64]) -> Features:
    # What is no number is as far away as can be.
    numbers = np.nan_to_num(values, nan=LIMIT, posinf=LIMIT, neginf=-LIMIT)
    quantised: Features = np.rint(numbers.clip(-LIMIT, LIMIT) * UNIT).astype(np.int64)
    return quantised


def _signed_logarithm(values: Array) -> NDArray[np.float64]:
    """Features differ in scale by any factor; orders of magnitude compare."""
    with np.errstate(all="ignore"):
        numbers = values.astype(np.float64)
        return np.sign(numbers) * np.log2(1 + np.abs(numbers) / _LEAST)


def _values(summary: Summary, layout: Layout, height: int, width: int) -> list[float]:
    values = _of_frame(summary, layout, height)
    for channel in range(layout.channels):
        values += _of_channel(summary, layout, channel, height * max(width - 1, 1))
    for channel, link in enumerate(summary.link):
        energy = summary.laplacian[channel] * summary.laplacian[channel + 1]
        values.append(link / math.sqrt(energy) if 0 < energy < math.inf else 0.0)
    return values


def _of_frame(summary: Summary, layout: Layout, height: int) -> list[float]:
    sampled = sum(summary.histogram)
    shares = [count / sampled for count in summary.histogram if count]
    return [
        summary.zeros / summary.elements,
        summary.saturated / summary.elements,
        summary.stuck_rows / max(height - 1, 1),
        math.log2(summary.smallest_step / (layout.high - layout.low) + _LEAST_STEP),
        -sum(share * math.log2(share) for share in shares),
        max(shares),
        summary.not_finite / summary.elements,
        *_of_strangest_row(summary, layout),
    ]


def _of_strangest_row(summary: Summary, layout: Layout) -> tuple[float, float, float, float]:
    energies, channels = summary.laplacian, layout.channels
    tint = sum(energies[:-1]) + sum(energies[1:]) - 2 * sum(summary.link)
    row_edges, row_tint, all_edges, all_tint = (
        _logarithm(math.sqrt(max(energy, 0)) / (layout.high - layout.low))
        for energy in (
            summary.peak_edges,
            summary.peak_tint,
            sum(energies) / channels,
            tint / max(channels - 1, 1),
        )
    )
    return row_edges, row_tint, row_edges - all_edges, row_tint - all_tint


def _of_channel(summary: Summary, layout: Layout, channel: int, steps: int) -> Sequence[float]:
    extent = layout.high - layout.low
    spread = _logarithm(math.sqrt(summary.variance[channel]) / extent)
    edges = _logarithm(math.sqrt(summary.laplacian[channel]) / extent)
    step_x = _logarithm(summary.step_x[channel] / extent)
    return (
        (summary.minimum[channel] - layout.low) / extent,
        (summary.maximum[channel] - layout.low) / extent,
        (summary.mean[channel] - layout.low) / extent,
        spread,
        step_x,
        _logarithm(summary.step_y[channel] / extent),
        edges,
        edges - spread,
        edges - step_x,
        summary.flat[channel] / steps,
    )


def _logarithm(value: float) -> float:
    return math.log2(value + _LEAST) if value < math.inf else LIMIT
