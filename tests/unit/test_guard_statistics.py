"""Statistics of frames: known values, and the compiled ones against NumPy."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep.guard import statistics
from modelkeep.guard.compiled import compiled
from modelkeep.guard.statistics import summarize, summarize_with_numpy
from modelkeep.guard.summary import Summary

Array = NDArray[Any]

needs_compiled = pytest.mark.usefixtures("compiled_statistics")
either = pytest.mark.parametrize("measure", [summarize, summarize_with_numpy])
Measure = Callable[[Array, float, float], Summary]


@either
def test_known_values_of_a_ramp(measure: Measure) -> None:
    frame = np.array([[0, 0.25, 0.5], [0, 0.25, 1.0]], np.float32)[..., None]
    found = measure(frame, 0, 1)
    assert (found.elements, found.zeros, found.saturated, found.not_finite) == (6, 2, 3, 0)
    assert (found.minimum, found.maximum) == ([0.0], [1.0])
    assert found.mean == pytest.approx([1 / 3])
    assert found.variance == pytest.approx([np.var(frame)])
    assert found.step_x == pytest.approx([1.5 / 4])
    assert found.step_y == pytest.approx([0.5 / 3])
    assert found.smallest_step == 0.25
    # Second column: 4 * 0.25 - 0 - 0.5 - 0.25 - 0.25 and 4 * 0.25 - 0 - 1 - 0.25 - 0.25.
    assert found.laplacian == pytest.approx([0.5**2 / 2])
    assert found.stuck_rows == 0
    assert found.histogram[0] == 2 and found.histogram[63] == 1 and sum(found.histogram) == 6


@either
def test_what_is_not_finite_is_counted_and_harms_nothing_else(measure: Measure) -> None:
    frame = np.full((4, 5, 2), 0.5, np.float32)
    frame[0, 0, 0], frame[1, 1, 1], frame[3, 4, 0] = np.nan, np.inf, -np.inf
    found = measure(frame, 0, 1)
    assert found.not_finite == 3
    assert found.zeros == 3
    numbers = [*found.mean, *found.variance, *found.step_x, *found.step_y, *found.laplacian, *found.link]
    assert np.isfinite(numbers).all()


@either
def test_rows_that_repeat_and_channels_that_stand_still_are_seen(measure: Measure) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (10, 12, 3)).astype(np.uint8)
    frame[5:] = frame[4]
    frame[:, :, 1] = 7
    found = measure(frame, 0, 255)
    assert found.stuck_rows == 5
    assert found.flat[1] == 10 * 11
    assert found.minimum[1] == found.maximum[1] == 7


@either
def test_channels_that_follow_each_other_are_linked(measure: Measure) -> None:
    grey = np.random.default_rng(2).random((20, 20, 1), np.float32)
    found = measure(np.concatenate([grey, grey], axis=2), 0, 1)
    assert found.link == pytest.approx([found.laplacian[0]], rel=1e-6)
    assert found.peak_tint == pytest.approx(0, abs=1e-6)


@either
def test_a_row_that_stands_out_shows(measure: Measure) -> None:
    frame = np.full((12, 16, 2), 100, np.uint8)
    frame[6, 7, 0] = 110
    found = measure(frame, 0, 255)
    # 40 in the middle, -10 to the left and to the right; -10 above and below, in other rows.
    assert found.peak_edges == (40**2 + 10**2 + 10**2) / (14 * 2)
    assert found.peak_tint == (40**2 + 10**2 + 10**2) / 14


@either
def test_a_seam_between_two_frames_shows(measure: Measure) -> None:
    frame = np.broadcast_to(np.arange(12, dtype=np.float32)[:, None, None], (12, 16, 2)).copy()
    frame[6:] += 9
    found = measure(frame, 0, 32)
    assert found.peak_step == 10
    assert found.seam == pytest.approx(10, rel=0.01)
    assert measure(frame[:6], 0, 32).seam == pytest.approx(1)
    assert measure(frame[:2], 0, 32)[8:10] == (1.0, 1.0)
    assert measure(frame[:1], 0, 32)[8:10] == (0.0, 1.0)


@either
def test_the_smallest_frames_have_statistics(measure: Measure) -> None:
    for shape in ((1, 1, 1), (1, 2, 1), (2, 1, 1), (1, 1, 5), (3, 3, 1)):
        found = measure(np.ones(shape, np.float32), 0, 2)
        assert found.mean == [1.0] * shape[2]
        assert found.variance == [0.0] * shape[2]
        assert found.smallest_step == 0.0


def test_the_size_of_bands_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = np.random.default_rng(3).random((70, 31, 3))
    frame[20:24] = frame[19]
    whole = summarize_with_numpy(frame, 0, 1)
    monkeypatch.setattr(statistics, "_BAND", 31 * 3 * 7)
    banded = summarize_with_numpy(frame, 0, 1)
    assert banded[:5] == whole[:5]
    assert banded.histogram == whole.histogram
    assert np.allclose(banded.laplacian, whole.laplacian, rtol=1e-12)
    assert np.allclose(banded.step_y, whole.step_y, rtol=1e-12)


def test_float64_and_unaligned_frames_are_measured_too() -> None:
    frame = np.random.default_rng(4).random((6, 7, 3))
    unaligned = np.frombuffer(b"\0" + frame.astype(np.float32).tobytes(), np.uint8)[1:].view(np.float32)
    assert not unaligned.flags.aligned
    found = summarize(unaligned.reshape(6, 7, 3), 0, 1)
    assert found.mean == pytest.approx(summarize(frame, 0, 1).mean, rel=1e-6)


def test_compiled_code_of_another_version_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "modelkeep_statistics", ModuleType("modelkeep_statistics"))
    found = compiled.__wrapped__()
    assert found is None
    monkeypatch.setattr(statistics, "compiled", lambda: found)
    assert "another version" in caplog.text
    frame = np.random.default_rng(6).random((8, 8, 3)).astype(np.float32)
    assert summarize(frame, 0, 1) == summarize_with_numpy(frame, 0, 1)


def test_the_extra_takes_the_compiled_code_that_is_built_here() -> None:
    root = Path(__file__).parents[2]
    crate = tomllib.loads((root / "rust/statistics/Cargo.toml").read_text())["package"]["version"]
    extra = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["guard"]
    major, minor, _ = map(int, crate.split("."))
    assert extra == [f"modelkeep-statistics>={major}.{minor},<{major}.{minor + 1}"]


@needs_compiled
def test_compiled_code_leaves_floating_point_settings_alone() -> None:
    summarize(np.random.default_rng(5).random((32, 32, 3)).astype(np.float32), 0, 1)
    subnormal = np.float32(1e-40) * np.float32(1)
    assert subnormal > 0


@needs_compiled
def test_compiled_code_refuses_what_is_no_frame() -> None:
    modelkeep_statistics: Any = importlib.import_module("modelkeep_statistics")

    with pytest.raises(ValueError, match="three dimensions"):
        modelkeep_statistics.summarize_u8(np.zeros((2, 2), np.uint8), 0.0, 255.0, 1)
    with pytest.raises(ValueError, match="empty"):
        modelkeep_statistics.summarize_u8(np.zeros((2, 0, 1), np.uint8), 0.0, 255.0, 1)
    with pytest.raises(ValueError, match="range"):
        modelkeep_statistics.summarize_u8(np.zeros((2, 2, 1), np.uint8), 1.0, 1.0, 1)
    with pytest.raises(BufferError):
        modelkeep_statistics.summarize_f32(np.zeros((2, 2, 1), np.float64), 0.0, 1.0, 1)


@needs_compiled
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("first", [True, False], ids=["CHW", "HWC"])
def test_what_is_not_finite_is_found_wherever_it_stands(channels: int, first: bool) -> None:
    frame = np.random.default_rng(6).random((3, 37, channels), np.float32)
    if first:
        frame = np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0)
    for row in range(3):
        for column in (0, 1, 15, 16, 31, 35, 36):
            for channel in {0, channels - 1}:
                changed = frame.copy(order="K")
                changed[row, column, channel] = (np.nan, np.inf, -np.inf)[column % 3]
                found, expected = summarize(changed, 0, 1), summarize_with_numpy(changed, 0, 1)
                assert found.not_finite == 1
                assert found[:5] == expected[:5]
                assert found.minimum == expected.minimum and found.flat == expected.flat
                assert found.laplacian == pytest.approx(expected.laplacian, rel=1e-5)


@needs_compiled
@pytest.mark.parametrize("huge", [1e19, 1e30, 3e38])
def test_sums_of_huge_numbers_are_those_of_double_precision(huge: float) -> None:
    frame = np.random.default_rng(7).random((9, 21, 3), np.float32)
    frame[..., 1] *= np.float32(huge)
    frame[4, 4, 1] = -huge
    found, expected = summarize(frame, 0, 1), summarize_with_numpy(frame, 0, 1)
    assert found[:5] == expected[:5]
    assert found.histogram == expected.histogram
    for name in ("mean", "variance", "step_x", "step_y", "laplacian", "link"):
        assert np.isfinite(getattr(found, name)).all()
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-6)
    assert found.peak_edges == pytest.approx(expected.peak_edges, rel=1e-6)


@needs_compiled
@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float32"])
def test_a_view_with_steps_of_zero_is_measured(dtype: str) -> None:
    row = np.random.default_rng(8).integers(0, 100, (1, 70, 3)).astype(dtype)
    frame = np.broadcast_to(row, (20, 70, 3))
    found = summarize(frame, 0, 255)
    assert found.stuck_rows == 19
    assert found[:5] == summarize_with_numpy(frame, 0, 255)[:5]
    wide = np.broadcast_to(row[:, :1], (20, 70, 3))
    assert summarize(wide, 0, 255).flat == [20 * 69] * 3


@needs_compiled
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_long_rows_of_bytes_do_not_overflow(dtype: type) -> None:
    ends = np.iinfo(dtype)
    frame: Array = np.full((2, 300 * 64 + 5, 1), ends.max, dtype)
    frame[:, ::2] = ends.min
    found, expected = summarize(frame, ends.min, ends.max), summarize_with_numpy(frame, ends.min, ends.max)
    assert found[:5] == expected[:5]
    assert found.laplacian == expected.laplacian and found.peak_edges == expected.peak_edges
    assert found.step_x == expected.step_x and found.variance == pytest.approx(expected.variance)


def test_every_field_of_a_summary_is_described() -> None:
    described = re.findall(r"^        (\w+): ", Summary.__doc__ or "", re.MULTILINE)
    assert described == list(Summary._fields)
