"""Which of overlapping boxes stay, as Frigate finds them: the best first, none that overlaps a better one.

Frigate hands two corners to a function of OpenCV that takes a corner and a size. What it keeps differs from
textbooks, and is kept here: a sealed model detects what the same model does without being sealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLD = 0.4
_OVERLAP = 0.4
_SMALLEST = np.finfo(np.float64).eps


def kept(boxes: NDArray[Any], scores: NDArray[Any], most: int) -> list[int]:
    """Returns the places of at most `most` boxes, the best first.

    Args:
        boxes: [n, 4].
        scores: [n]; those up to `THRESHOLD` do not count.
        most: how many are enough.
    """
    boxes = boxes.astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    left = order[scores[order] > np.float32(THRESHOLD)]
    found: list[int] = []
    while len(left) and len(found) < most:
        best, left = int(left[0]), left[1:]
        found.append(best)
        left = left[_overlap(boxes[best], boxes[left]) <= np.float32(_OVERLAP)]
    return found


def _overlap(box: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Returns the share of each pair's union that both cover, as float32."""
    start = np.maximum(box[:2], others[:, :2])
    end = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    sides = end - start
    common = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    areas = box[2:].prod() + others[:, 2:].prod(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = common / (areas - common)
    # Two boxes without an area are one to OpenCV.
    return np.where(areas <= _SMALLEST, 1.0, shares).astype(np.float32)
