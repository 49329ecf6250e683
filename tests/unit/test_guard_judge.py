"""Frames judged by compiled code: the same numbers and surprises, to the bit, as step by step with NumPy."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep.guard.features import MISSING, features_of
from modelkeep.guard.judge import Judge
from modelkeep.guard.measurement import measure_input
from modelkeep.guard.profile import InputProfile
from modelkeep.guard.signal import held_against
from modelkeep.guard.tails import Tails, fit_tails
from support.guarded import picture_profile

pytestmark = pytest.mark.usefixtures("compiled_statistics")

Array = NDArray[Any]


def odd_frames(shape: tuple[int, ...], dtype: str) -> list[Array]:
    """Frames that are usual, flat, empty of everything, out of range, and no numbers at all."""
    random = np.random.default_rng(1)
    values = [random.random(shape), np.zeros(shape), np.full(shape, 0.5), 1e-3 * random.random(shape)]
    if dtype in ("uint8", "int8"):
        return [np.rint(255 * each).astype(np.uint8).view(dtype) for each in values]
    odd = random.random(shape)
    odd.reshape(-1)[::7] = np.nan
    edge: Array = np.where(random.random(shape) < 0.3, 6e4, -0.5)
    return [each.astype(dtype) for each in (*values, odd, np.full(shape, np.inf), edge)]


def usual(axes: str, low: float, high: float) -> InputProfile:
    """Returns what is usual for pictures, read in other ways."""
    (known,) = picture_profile().inputs
    return replace(known, layout=replace(known.layout, axes=axes, low=low, high=high))


def without_joint(known: InputProfile) -> InputProfile:
    tails = known.tails
    return replace(known, tails=Tails(tails.quantiles[:-1], tails.tails[:-1]), joint=None)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_judged_at_once_or_step_by_step_is_the_same_to_the_bit(dtype: str) -> None:
    ends = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0)}.get(dtype, (0.0, 1.0))
    for axes, shape in (("NHWC", (2, 19, 33, 3)), ("NCHW", (1, 3, 7, 65)), ("NTC", (3, 20, 3))):
        for known in (usual(axes, *ends), without_joint(usual(axes, *ends))):
            judge = Judge(known)
            for frames in odd_frames(shape, dtype):
                numbers, surprises = judge.judged(frames) or pytest.fail("nothing was judged")
                expected = held_against(measure_input(frames, known.layout), known, None)
                assert np.array_equal(numbers, expected[0]) and np.array_equal(surprises, expected[1])
                assert (numbers == MISSING).any() == (frames.max() == frames.min())


def test_other_arrays_are_left_to_numpy() -> None:
    judge = Judge(usual("NHWC", 0, 1))
    frames = odd_frames((1, 9, 9, 3), "float32")[0]
    assert judge.judged(frames.astype(np.float64)) is None
    unaligned = np.frombuffer(b"\0" + frames.tobytes(), np.uint8)[1:].view(np.float32)
    assert judge.judged(unaligned.reshape(frames.shape)) is None


def test_compiled_code_refuses_sizes_that_do_not_belong_together() -> None:
    module: Any = importlib.import_module("modelkeep_statistics")
    known = without_joint(usual("NHWC", 0, 1))
    size = len(features_of(known.layout))
    medians, sides = known.tails.medians.tolist(), known.tails.sides.ravel().tolist()
    for channels, ends, rows, short in (
        (2, (0, 1), 16, 0),
        (3, (1, 1), 16, 0),
        (3, (0, 1), 0, 0),
        (3, (0, 1), 16, 1),
    ):
        with pytest.raises(ValueError, match=r"sizes|range"):
            module.Judge(channels, ends, rows, medians, sides[short:], None)
    judge = module.Judge(3, (0, 1), 16, medians, sides, None)
    frame, found = np.zeros((1, 4, 4, 3), np.float32), np.empty((1, 2, size))
    for wrong in (found[:, :1], np.empty((1, 2, size - 1)), np.empty((1, 2, 2 * size))[:, :, ::2]):
        with pytest.raises(ValueError, match="room"):
            judge.judge_f32(frame, wrong)
    found.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        judge.judge_f32(frame, found)


def test_surprises_do_not_depend_on_the_last_bit_of_a_logarithm() -> None:
    rows = np.random.default_rng(2).integers(-3000, 3000, (500, 1))
    surprises = fit_tails(rows, MISSING, np.array([200.0])).surprises(rows * 3)
    assert np.array_equal(surprises * 2**20, np.floor(surprises * 2**20))
