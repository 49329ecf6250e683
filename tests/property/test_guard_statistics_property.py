"""Compiled code computes what NumPy computes, whatever the frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelkeep.guard.statistics import summarize, summarize_with_numpy
from modelkeep.guard.summary import LEAST_STEP

pytestmark = pytest.mark.usefixtures("compiled_statistics")

Array = NDArray[Any]
# Below, at and beyond the number of lanes of every instruction set, and of two of them.
_SIDES = st.sampled_from([1, 2, 3, 5, 7, 15, 16, 17, 33, 63, 64, 65, 129])


@st.composite
def frames(draw: st.DrawFn) -> Array:
    """Frames of every kind that compiled code takes, with odd strides and odd values."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from(["uint8", "int8", "float32", "float16"]))
    shape = (draw(_SIDES), draw(_SIDES), draw(st.sampled_from([1, 2, 3, 3, 4, 5, 7, 9])))
    levels = draw(st.sampled_from([1, 2, 9, 256]))
    values = generator.integers(0, levels, shape)
    if dtype in ("uint8", "int8"):
        frame = values.astype(np.uint8).view(dtype)
    else:
        frame = values / 255 * draw(st.sampled_from([1.0, 1e-6, 300.0])) - draw(st.sampled_from([0, 0.5]))
        frame = frame.astype(dtype)
        if draw(st.booleans()):
            frame.reshape(-1)[generator.integers(0, frame.size, 3)] = [np.nan, np.inf, -np.inf]
    if draw(st.booleans()):
        frame = np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0)
    return frame[:: draw(st.sampled_from([1, -1, 2])), :: draw(st.sampled_from([1, -1, 3]))]


@settings(max_examples=300, deadline=None)
@given(frames(), st.sampled_from([(0.0, 1.0), (0.0, 255.0), (-128.0, 127.0), (-300.0, 0.25)]))
def test_compiled_code_and_numpy_agree(frame: Array, ends: tuple[float, float]) -> None:
    compiled, expected = summarize(frame, *ends), summarize_with_numpy(frame, *ends)
    assert compiled[:5] == expected[:5]
    for name in ("histogram", "minimum", "maximum", "flat"):
        assert getattr(compiled, name) == getattr(expected, name)
    extent = max(expected.maximum) - min(expected.minimum)
    for name, power in (("mean", 1), ("step_x", 1), ("step_y", 1), ("variance", 2)):
        assert np.allclose(
            getattr(compiled, name), getattr(expected, name), rtol=1e-6, atol=1e-6 * extent**power
        )
    # A Laplacian is a difference of numbers that are rounded to 24 bits each.
    largest = max(map(abs, [*expected.maximum, *expected.minimum]))
    for name in ("laplacian", "link"):
        bound = 1e-6 * (extent + largest) ** 2
        assert np.allclose(getattr(compiled, name), getattr(expected, name), rtol=1e-5, atol=bound)
    for name in ("peak_edges", "peak_tint"):
        assert getattr(compiled, name) == pytest.approx(getattr(expected, name), rel=1e-5, abs=bound)
    assert compiled.peak_step == pytest.approx(expected.peak_step, rel=1e-6, abs=1e-6 * extent)
    # What rounding does to small steps, over what every step is taken to be at least.
    rounding = 1e-6 * largest / (LEAST_STEP * (ends[1] - ends[0]))
    assert compiled.seam == pytest.approx(expected.seam, rel=1e-5 + 2 * rounding)
    assert compiled.smallest_step == pytest.approx(expected.smallest_step, abs=1e-6 * max(largest, 1e-30))
