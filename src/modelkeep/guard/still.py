"""Whether a stream stands still: frames that repeat earlier ones, to the last bit or nearly."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REMEMBERED = 64
# Distances of neighbouring frames that tell how a live stream moves, and how much less is nearly frozen.
_NEIGHBOURS = 256
_NEARLY = 0.25


class Still:
    """Whether the frames of an input stand still: they repeat earlier ones, or nearly."""

    def __init__(self) -> None:
        self._earlier: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._last: NDArray[Any] | None = None
        self._nearest: deque[float] = deque(maxlen=_NEIGHBOURS)
        self._exact = self._near = 0

    def add(self, row: NDArray[Any]) -> tuple[int, str]:
        """Returns how many frames in a row have repeated an earlier one, and how, in words."""
        told = row.tobytes()
        self._exact = self._exact + 1 if told in self._earlier else 0
        self._earlier.append(told)
        self._near = self._near + 1 if self._is_near(row) else 0
        self._last = row
        if self._exact >= self._near:
            return self._exact, "repeat earlier ones"
        return self._near, "hardly differ from the one before"

    def _is_near(self, row: NDArray[Any]) -> bool:
        """Whether a frame is far closer to the one before than live frames of this stream ever were."""
        if self._last is None:
            return False
        distance = float(np.abs(row - self._last).sum())
        if len(self._nearest) < _NEIGHBOURS:
            if distance > 0:
                self._nearest.append(distance)
            return False
        return distance < _NEARLY * min(self._nearest)
