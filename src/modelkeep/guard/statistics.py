"""One pass over a frame: by compiled code where it is installed, else by NumPy.

The NumPy version says what the compiled one must compute; tests hold one against the other. Counts,
minima and maxima are the same numbers, means and variances agree to 1e-6 of the range of values.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np

from modelkeep.guard.compiled import KINDS, as_buffer, compiled
from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Array
from modelkeep.guard.summary import BINS, LEAST_STEP, Summary, histogram_step

_LOG = logging.getLogger("modelkeep.guard")


_BAND = 2**16  # elements that are looked at together, so that temporary copies stay in the cache


@cache
def _warn() -> None:
    _LOG.warning(
        "inputs are measured by NumPy; pip install 'modelkeep[guard]' makes it a hundred times faster"
    )


def warn_if_slow(layouts: Iterable[Layout]) -> None:
    """Logs once that the compiled code is missing, where there are images or series to measure."""
    if compiled() is None and any(not layout.is_vector for layout in layouts):
        _warn()


def summarize(frame: Array, low: float, high: float) -> Summary:
    """Returns the statistics of one frame.

    Args:
        frame: shape [rows, columns, channels], none of them 0, of integers, bool or real floats
            in native byte order; any strides. It is not changed, nor copied as a whole.
        low: lower end of the expected range, for the histogram and for saturation.
        high: upper end, above `low`.
    """
    kind = KINDS.get(frame.dtype)
    module = compiled()
    if module is None or kind is None or not frame.flags.aligned:
        return summarize_with_numpy(frame, low, high)
    measure = getattr(module, f"summarize_{kind}")
    return Summary(*measure(as_buffer(frame), low, high, histogram_step(frame.shape[0])))


def summarize_with_numpy(frame: Array, low: float, high: float) -> Summary:
    """Returns what `summarize` returns, from NumPy alone."""
    with np.errstate(all="ignore"):
        totals = _Totals(frame, low, high)
        for first, last in _bands(frame):
            totals.add(first, last)
        return totals.summary()


def _bands(frame: Array) -> Iterator[tuple[int, int]]:
    height = frame.shape[0]
    step = max(1, _BAND // (frame.shape[1] * frame.shape[2]))
    for first in range(0, height, step):
        yield first, min(height, first + step)


class _Totals:
    """Sums over the bands of a frame seen so far."""

    def __init__(self, frame: Array, low: float, high: float) -> None:
        self._frame = frame
        # The compiled version compares single-precision numbers in single precision.
        self._precision = np.float32 if frame.dtype in (np.float16, np.float32) else np.float64
        self._low, self._high = self._precision(low), self._precision(high)
        self._first_bin = np.float32(low)
        self._scale = np.float32(BINS / (high - low))
        self._histogram_step = histogram_step(frame.shape[0])
        self._pivot = _finite(frame[:1, :1])[0, 0]
        channels = frame.shape[2]
        self._not_finite = self._zeros = self._saturated = self._stuck_rows = 0
        self._smallest_step = np.inf
        self._peak_edges = self._peak_tint = 0.0
        self._histogram = np.zeros(BINS, np.int64)
        self._minimum, self._maximum = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._sum, self._square, self._step_x, self._step_y, self._laplacian = np.zeros((5, channels))
        self._flat = np.zeros(channels, np.int64)
        self._link = np.zeros(channels - 1)
        self._row_steps: list[Array] = []

    def add(self, first: int, last: int) -> None:
        """Adds the rows from `first` up to `last`."""
        raw = self._frame[first:last]
        self._not_finite += raw.size - int(np.count_nonzero(np.isfinite(raw)))
        above = _finite(self._frame[max(0, first - 1) : max(0, first - 1) + 1])
        below = _finite(self._frame[min(last, len(self._frame) - 1) :][:1])
        rows = np.concatenate([above, _finite(raw), below])
        here = rows[1:-1]
        self._add_values(here)
        self._add_histogram(here[(-first) % self._histogram_step :: self._histogram_step])
        across = np.abs(here[:, 1:] - here[:, :-1])
        self._add_horizontal(across)
        moved = np.count_nonzero(across, axis=(1, 2))
        varies = (moved > 0) & (8 * moved >= across[0].size)
        self._add_vertical(np.abs(here - rows[:-2]), varies, first)
        self._add_laplacian(rows)

    def _add_values(self, here: Array) -> None:
        compared = here.astype(self._precision, copy=False)
        self._zeros += int(np.count_nonzero(here == 0))
        self._saturated += int(np.count_nonzero((compared <= self._low) | (compared >= self._high)))
        self._minimum = np.minimum(self._minimum, here.min(axis=(0, 1)))
        self._maximum = np.maximum(self._maximum, here.max(axis=(0, 1)))
        centred = here - self._pivot
        self._sum += centred.sum(axis=(0, 1))
        self._square += (centred * centred).sum(axis=(0, 1))

    def _add_histogram(self, rows: Array) -> None:
        places = (rows.astype(np.float32) - self._first_bin) * self._scale
        bins = np.nan_to_num(places.clip(0, BINS - 1)).astype(np.intp)
        self._histogram += np.bincount(bins.ravel(), minlength=BINS)

    def _add_vertical(self, steps: Array, varies: Array, first: int) -> None:
        is_stuck = varies & ~steps.any(axis=(1, 2))
        self._stuck_rows += int(np.count_nonzero(is_stuck[1 if first == 0 else 0 :]))
        self._step_y += steps.sum(axis=(0, 1))
        self._row_steps.append(steps.mean(axis=(1, 2)))

    def _add_horizontal(self, steps: Array) -> None:
        self._step_x += steps.sum(axis=(0, 1))
        self._flat += np.count_nonzero(steps == 0, axis=(0, 1))
        self._smallest_step = min(self._smallest_step, steps.min(initial=np.inf, where=steps > 0))

    def _add_laplacian(self, rows: Array) -> None:
        here = rows[1:-1]
        edges = 4 * here[:, 1:-1] - here[:, :-2] - here[:, 2:] - rows[:-2, 1:-1] - rows[2:, 1:-1]
        squares = (edges * edges).sum(axis=1)
        tints = (np.diff(edges, axis=2) ** 2).sum(axis=(1, 2))
        self._laplacian += squares.sum(axis=0)
        self._peak_edges = max(self._peak_edges, squares.sum(axis=1).max())
        self._peak_tint = max(self._peak_tint, tints.max())
        self._link += (edges[..., :-1] * edges[..., 1:]).sum(axis=(0, 1))

    def summary(self) -> Summary:
        """Returns sums as means."""
        height, width, channels = self._frame.shape
        across = max(width - 2, 1)
        area, inner = height * width, height * across
        offset = self._sum / area
        variance = np.maximum(self._square / area - offset * offset, 0)
        peak_step, seam = _seam(np.concatenate(self._row_steps)[1:], float(self._high) - float(self._low))
        return Summary(
            elements=self._frame.size,
            not_finite=self._not_finite,
            zeros=self._zeros,
            saturated=self._saturated,
            stuck_rows=self._stuck_rows,
            smallest_step=float(self._smallest_step) if np.isfinite(self._smallest_step) else 0.0,
            peak_edges=float(self._peak_edges / (across * channels)),
            peak_tint=float(self._peak_tint / (across * max(channels - 1, 1))),
            peak_step=peak_step,
            seam=seam,
            histogram=self._histogram.tolist(),
            minimum=self._minimum.tolist(),
            maximum=self._maximum.tolist(),
            mean=(self._pivot + offset).tolist(),
            variance=variance.tolist(),
            step_x=(self._step_x / (height * max(width - 1, 1))).tolist(),
            step_y=(self._step_y / (max(height - 1, 1) * width)).tolist(),
            laplacian=(self._laplacian / inner).tolist(),
            flat=self._flat.tolist(),
            link=(self._link / inner).tolist(),
        )


def _seam(steps: Array, extent: float) -> tuple[float, float]:
    """Returns the largest step between two rows, and by how much one exceeds those before and behind."""
    raised = steps + LEAST_STEP * extent
    excesses = raised[1:-1] / np.maximum(raised[:-2], raised[2:])
    return float(steps.max(initial=0)), float(excesses.max(initial=1))


def _finite(rows: Array) -> Array:
    """Returns `rows` in double precision with 0 in the place of what is not finite."""
    values = rows.astype(np.float64)
    values[~np.isfinite(values)] = 0
    return values
