"""Frames measured and held against what is usual in one go, by compiled code.

The same as `features.measure`, `rules.numbers` and `rules.surprises`, without what Python costs between
them: for a small frame, that is more than the frame itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from modelkeep.guard.compiled import KINDS, as_buffer, compiled
from modelkeep.guard.numbers import Array, Numbers
from modelkeep.guard.profile import InputProfile
from modelkeep.guard.summary import SAMPLED_ROWS


class Judge:
    """Judges frames of one input; without compiled code none, nor vectors."""

    def __init__(self, usual: InputProfile) -> None:
        self._layout, self._size = usual.layout, len(usual.tails.medians)
        self._judges = _judges(usual)

    def judged(self, array: Array) -> tuple[Numbers, Numbers] | None:
        """Returns what `rules.numbers` and `rules.surprises` say of every sample, or None for others to say.

        Args:
            array: an input without `Layout.fault`.
        """
        judge = self._judges.get(array.dtype)
        if judge is None or not array.flags.aligned:
            return None
        frames = as_buffer(self._layout.frames(array))
        found = np.empty((len(frames), 2, self._size))
        judge(frames, found)
        return found[:, 0], found[:, 1]


def _judges(usual: InputProfile) -> dict[np.dtype[Any], Callable[[Array, Numbers], None]]:
    module, layout, tails, joint = compiled(), usual.layout, usual.tails, usual.joint
    if module is None or layout.is_vector:
        return {}
    judge = module.Judge(
        layout.channels,
        (layout.low, layout.high),
        SAMPLED_ROWS,
        tails.medians.tolist(),
        tails.sides.ravel().tolist(),
        None if joint is None else (joint.mean.tolist(), joint.whitening.ravel().tolist()),
    )
    return {dtype: getattr(judge, f"judge_{kind}") for dtype, kind in KINDS.items()}
