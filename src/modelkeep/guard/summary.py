"""What one pass over a frame measures; the same compiled and with NumPy."""

from __future__ import annotations

from typing import NamedTuple

# Which features there are; changes with them, and with what they are made of.
SUITE = 2
BINS = 64
SAMPLED_ROWS = 16
# Of the range: what every difference between rows is taken to be at least, in their ratio.
LEAST_STEP = 2.0**-15


class Summary(NamedTuple):
    """Statistics of one frame: H rows of W columns of C channels.

    Non-finite elements are counted, and stand as 0 for everything else. Differences go to the
    left and to the upper neighbour. The Laplacian of an element is four times its value minus
    its left, right, upper and lower neighbours; above the first and below the last row stands
    the row itself, and the first and last column have none.

    Attributes:
        elements: of the frame, H * W * C.
        not_finite: NaN and infinite elements.
        zeros: elements equal to 0.
        saturated: elements at or beyond either end of the range.
        stuck_rows: rows that equal the row above in every channel, and vary: at least an eighth of their
            elements behind the first column differ from the left neighbour.
        smallest_step: smallest difference to a left neighbour that is not 0, or 0.0 without any.
        peak_edges: largest mean square of the Laplacians of one row, over all channels.
        peak_tint: largest mean square, over one row, of the differences between the Laplacians of
            channels c and c + 1; 0.0 with a single channel.
        peak_step: largest mean absolute difference of one row to the row above, over all channels.
        seam: by which factor that of one row exceeds the larger of those of the rows before and behind, each
            with 2^-15 of the range on top; at least 1.0.
        histogram: elements of the sampled rows in each of 64 equal parts of the range; what lies
            outside counts into the first and the last.
        minimum: lowest element, by channel.
        maximum: highest element, by channel.
        mean: arithmetic mean, by channel.
        variance: mean squared distance from the mean, by channel.
        step_x: mean absolute difference to the left neighbour, by channel.
        step_y: mean absolute difference to the upper neighbour, by channel.
        laplacian: mean square of the Laplacian, by channel.
        flat: elements equal to their left neighbour, by channel.
        link: mean product of the Laplacians of channels c and c + 1, for each but the last c.
    """

    elements: int
    not_finite: int
    zeros: int
    saturated: int
    stuck_rows: int
    smallest_step: float
    peak_edges: float
    peak_tint: float
    peak_step: float
    seam: float
    histogram: list[int]
    minimum: list[float]
    maximum: list[float]
    mean: list[float]
    variance: list[float]
    step_x: list[float]
    step_y: list[float]
    laplacian: list[float]
    flat: list[int]
    link: list[float]


def histogram_step(height: int) -> int:
    """Returns which rows the histogram samples: those divisible by this, which are at least 16 or all."""
    return max(1, height // SAMPLED_ROWS)
