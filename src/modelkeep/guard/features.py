"""From the statistics of a frame to the numbers that are held against what is usual.

Suite 2. Every feature is cut to -64 ... 64 and rounded to a multiple of 2^-15, so that sums over
samples are integers and do not depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Array, Numbers
from modelkeep.guard.statistics import summarize
from modelkeep.guard.summary import Summary

LIMIT = 64
UNIT = 2**15
# A frame without any step has no smallest one. What is missing is neither usual nor strange.
MISSING = (LIMIT + 1) * UNIT
LEAST = 2.0**-20  # of the range; below that, differences are rounding
LEAST_STEP = 2.0**-30

Features = NDArray[np.int64]

NOT_FINITE, MAGNITUDE = "not-finite", "magnitude"
LOGARITHM, LINEAR = "logarithm", "linear"
# How much one row stands out: by the sharpness of its edges, that of its colours, and the step to it.
_ROWS = ("row-edges", "row-tint", "row-edges-over-all", "row-tint-over-all", "row-step-over-all", "seam")
_FRAME = (NOT_FINITE, "zeros", "saturated", "stuck-rows", "smallest-step", "entropy", "peak", *_ROWS)
_CHANNEL = ("minimum", "maximum", "mean", "spread", "step-x", "step-y", "edges", "roughness", "grain", "flat")
_LINK = "link"
_VECTOR = (NOT_FINITE, "zeros", MAGNITUDE)


class Feature(NamedTuple):
    """What one number is about.

    Attributes:
        kind: stable code; docs/guard.md explains each.
        channel: number of the channel or column, or None where it is about all of them.
    """

    kind: str
    channel: int | None = None

    def __str__(self) -> str:
        return self.kind if self.channel is None else f"{self.kind}-{self.channel}"


@lru_cache(maxsize=256)
def features_of(layout: Layout) -> tuple[Feature, ...]:
    """Returns what the features of an input are about, in their order."""
    channels = range(layout.channels)
    if layout.is_vector:
        scales = (LOGARITHM, LINEAR)
        return (*map(Feature, _VECTOR), *(Feature(scale, each) for scale in scales for each in channels))
    by_channel = [Feature(kind, channel) for channel in channels for kind in _CHANNEL]
    return (*map(Feature, _FRAME), *by_channel, *(Feature(_LINK, channel) for channel in channels[:-1]))


@lru_cache(maxsize=256)
def joint_places(layout: Layout) -> slice:
    """Returns which features are looked at together: of a vector, those on the linear scale."""
    return slice(len(_VECTOR) + layout.channels, None) if layout.is_vector else slice(None)


@lru_cache(maxsize=256)
def alike(layout: Layout) -> tuple[slice, ...]:
    """Returns which features say the same of one column after the other; none of frames."""
    starts = (len(_VECTOR), len(_VECTOR) + layout.channels)
    return tuple(slice(start, start + layout.channels) for start in starts) if layout.is_vector else ()


def measure(frame: Array, layout: Layout) -> Features:
    """Returns the features of one frame of an image or a series, as multiples of 1 / `UNIT`."""
    summary = summarize(frame, layout.low, layout.high)
    # What is missing is None, which becomes NaN here.
    values = np.array(_values(summary, layout, frame.shape[0], frame.shape[1]), np.float64)
    return _quantised(values)


def measure_vectors(rows: Array, layout: Layout) -> Features:
    """Returns the features of vectors [samples, channels], as multiples of 1 / `UNIT`."""
    with np.errstate(all="ignore"):
        numbers = rows.astype(np.float64)
        is_finite = np.isfinite(numbers)
        linear = np.arcsinh((numbers - np.array(layout.centres)) / np.array(layout.scales))
        logarithms = _signed_logarithm(numbers)
        both = np.concatenate([logarithms, linear], axis=1)
        both[~np.concatenate([is_finite, is_finite], axis=1)] = np.nan
        whole = _of_vectors(is_finite, numbers != 0, logarithms)
        return _quantised(np.concatenate([whole, both], axis=1))


def _of_vectors(is_finite: NDArray[np.bool_], is_set: NDArray[np.bool_], logarithms: Numbers) -> Numbers:
    """Returns what is said of all columns together; without any to speak of, no magnitude."""
    counted = is_finite & is_set
    magnitudes = np.where(counted, np.abs(logarithms), 0).sum(axis=1) / counted.sum(axis=1)
    # Rounded up: a single one counts.
    missing = np.ceil((~is_finite).mean(axis=1) * UNIT) / UNIT
    return np.stack([missing, (~is_set).mean(axis=1), magnitudes], axis=1)


def _quantised(values: Numbers) -> Features:
    # The order matters: a minimum or maximum of NaN is NaN, and the last one takes it away.
    cut = np.rint(np.maximum(np.minimum(values, LIMIT), -LIMIT) * UNIT)
    quantised: Features = np.where(np.isnan(cut), MISSING, cut).astype(np.int64)
    return quantised


def _signed_logarithm(numbers: Numbers) -> Numbers:
    """Columns differ in scale by any factor; orders of magnitude compare."""
    return np.asarray(np.sign(numbers) * np.log2(1 + np.abs(numbers) / LEAST))


def _values(summary: Summary, layout: Layout, height: int, width: int) -> list[float | None]:
    values = _of_frame(summary, layout, height)
    for channel in range(layout.channels):
        values += _of_channel(summary, layout, channel, height * max(width - 1, 1))
    for channel, link in enumerate(summary.link):
        energy = summary.laplacian[channel] * summary.laplacian[channel + 1]
        values.append(None if energy == 0 else link / math.sqrt(energy) if energy < math.inf else 0.0)
    return values


def _of_frame(summary: Summary, layout: Layout, height: int) -> list[float | None]:
    sampled, elements = sum(summary.histogram), summary.elements
    surplus = sum([count * math.log2(count) for count in summary.histogram if count])
    step = summary.smallest_step
    return [
        # Rounded up: a single one counts.
        math.ceil(summary.not_finite / elements * UNIT) / UNIT,
        summary.zeros / elements,
        summary.saturated / elements,
        summary.stuck_rows / max(height - 1, 1),
        math.log2(step / (layout.high - layout.low) + LEAST_STEP) if step else None,
        math.log2(sampled) - surplus / sampled,
        max(summary.histogram) / sampled,
        *_of_strangest_row(summary, layout),
    ]


def _of_strangest_row(summary: Summary, layout: Layout) -> tuple[float, ...]:
    energies, channels = summary.laplacian, layout.channels
    tint = sum(energies[:-1]) + sum(energies[1:]) - 2 * sum(summary.link)
    peak, usual = summary.peak_step, sum(summary.step_y) / channels
    steps = _logarithm(peak / (layout.high - layout.low)) - _logarithm(usual / (layout.high - layout.low))
    row_edges, row_tint, all_edges, all_tint = (
        _logarithm(math.sqrt(max(energy, 0)) / (layout.high - layout.low))
        for energy in (
            summary.peak_edges,
            summary.peak_tint,
            sum(energies) / channels,
            tint / max(channels - 1, 1),
        )
    )
    return row_edges, row_tint, row_edges - all_edges, row_tint - all_tint, steps, math.log2(summary.seam)


def _of_channel(summary: Summary, layout: Layout, channel: int, steps: int) -> Sequence[float | None]:
    extent = layout.high - layout.low
    variance, step_x = summary.variance[channel], summary.step_x[channel]
    spread = _logarithm(math.sqrt(variance) / extent)
    edges = _logarithm(math.sqrt(summary.laplacian[channel]) / extent)
    across = _logarithm(step_x / extent)
    return (
        (summary.minimum[channel] - layout.low) / extent,
        (summary.maximum[channel] - layout.low) / extent,
        (summary.mean[channel] - layout.low) / extent,
        spread,
        across,
        _logarithm(summary.step_y[channel] / extent),
        edges,
        edges - spread if variance else None,
        edges - across if step_x else None,
        summary.flat[channel] / steps,
    )


def _logarithm(value: float) -> float:
    return math.log2(value + LEAST) if value < math.inf else LIMIT
