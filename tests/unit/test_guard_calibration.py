"""From clean samples to a profile."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from modelkeep.errors import UsageError
from modelkeep.guard.calibration import Calibration, samples_needed
from modelkeep.guard.fit import Fit, Usual
from modelkeep.guard.guard import Guard
from modelkeep.guard.moments import Moments, whitening
from modelkeep.guard.plan import Plan
from modelkeep.guard.sample import Measurement, measure
from modelkeep.guard.signal import Signal
from support.guarded import MODEL, measured
from support.pictures import pictures


def fit_part(plan: Plan, part: list[Measurement]) -> Fit:
    fit = Fit(plan)
    for each in part:
        fit.add(each)
    return fit


def calibrate_part(usual: Usual, part: list[Measurement]) -> Calibration:
    calibration = Calibration(usual)
    for each in part:
        calibration.add(each)
    return calibration


def test_the_order_of_samples_within_a_phase_does_not_matter() -> None:
    plan, samples = measured(pictures(360, seed=5, size=12))
    first, second = samples[:180], samples[180:]
    whole = calibrate_part(fit_part(plan, first).freeze(), second).finish(MODEL, alpha=0.05, delta=0.05)
    random.Random(6).shuffle(first)
    random.Random(7).shuffle(second)
    again = calibrate_part(fit_part(plan, first).freeze(), second).finish(MODEL, alpha=0.05, delta=0.05)
    assert again.to_bytes() == whole.to_bytes()


def test_embeddings_are_held_against_their_class() -> None:
    generator = np.random.default_rng(8)
    inputs = [{"x": generator.random((4, 5)).astype(np.float32)} for _ in range(60)]
    outputs = [
        {
            "y": generator.normal(size=(4, 3)).astype(np.float32),
            "h": generator.normal(size=(4, 100)).astype(np.float32),
        }
        for _ in inputs
    ]
    plan = Plan.make(inputs[0], outputs[0], embedding="h")
    samples = [measure(plan, given, made) for given, made in zip(inputs, outputs, strict=True)]
    calibration = calibrate_part(fit_part(plan, samples[:40]).freeze(), samples[40:])
    profile = calibration.finish(MODEL, alpha=0.3, delta=0.3)
    assert {rule for rule, _ in profile.stages[1].thresholds} == {"margin", "distance"}


def test_too_few_samples_are_refused_with_the_number_needed() -> None:
    plan, samples = measured(pictures(40, seed=9, size=8))
    needed = samples_needed(plan, 0.01, 0.05)
    calibration = calibrate_part(fit_part(plan, samples[:20]).freeze(), samples[20:])
    with pytest.raises(UsageError, match=f"20 samples .* {needed} are needed") as refusal:
        calibration.finish(MODEL, alpha=0.01, delta=0.05)
    # What the hint says is enough is enough, and not by much.
    found = re.search(r"so many allow alpha ([0-9.]+)", str(refusal.value.hint))
    assert found is not None
    calibration.finish(MODEL, alpha=float(found[1]), delta=0.05)
    with pytest.raises(UsageError):
        calibration.finish(MODEL, alpha=0.95 * float(found[1]), delta=0.05)


def test_one_sample_allows_no_rate_at_all() -> None:
    plan, samples = measured(pictures(2, seed=9, size=8))
    calibration = calibrate_part(fit_part(plan, samples[:1]).freeze(), samples[1:])
    with pytest.raises(UsageError) as refusal:
        calibration.finish(MODEL, alpha=0.1, delta=0.05)
    assert "none at all" in str(refusal.value.hint)


def test_no_samples_are_refused() -> None:
    plan, _ = measured(pictures(4, seed=9, size=8))
    with pytest.raises(UsageError, match="no samples"):
        Fit(plan).freeze()


def test_a_sample_of_another_form_is_refused() -> None:
    plan, _ = measured(pictures(1, seed=9, size=8))
    with pytest.raises(UsageError, match="not of 3 channels"):
        measure(plan, {"x": np.zeros((1, 8, 8, 4), np.float32)}, {})
    with pytest.raises(UsageError, match=r"not a plain numpy.ndarray"):
        measure(plan, {}, {})


def test_whitened_samples_have_no_correlation_left() -> None:
    generator = np.random.default_rng(10)
    mixing = generator.normal(size=(5, 5))
    rows = np.rint(generator.normal(size=(4000, 5)) @ mixing * 1000).astype(np.int64)
    moments = Moments(5, with_products=True)
    moments.add(rows)
    white = (rows / 1000 - moments.mean(1000)) @ whitening(moments.covariance(1000)).T
    assert np.allclose(np.cov(white.T), np.eye(5), atol=0.5)
    assert np.linalg.norm(np.cov(white.T) - np.eye(5)) < 0.2 * np.linalg.norm(
        np.cov(rows.T / 1000) - np.eye(5)
    )


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((7,), "F"), ((2, 7), "NF"), ((9, 9, 3), "HWC"), ((2, 9, 9, 1), "NHWC"), ((2, 3, 9, 9), "NCHW")],
)
def test_common_layouts_are_guessed(shape: tuple[int, ...], axes: str) -> None:
    plan = Plan.make({"x": np.ones(shape, np.float32)}, {})
    assert plan.inputs[0].axes == axes


def test_other_layouts_must_be_said() -> None:
    series = {"x": np.ones((128, 6), np.float32)[None]}
    with pytest.raises(UsageError, match="does not tell its layout") as refusal:
        Plan.make(series, {})
    assert "NTC" in str(refusal.value.hint)
    assert Plan.make(series, {}, layouts={"x": "NTC"}).inputs[0].channels == 6
    with pytest.raises(UsageError, match="no input 'z'"):
        Plan.make(series, {}, layouts={"z": "NTC"})


def test_an_input_is_left_to_the_contract_where_that_is_said() -> None:
    samples = {"x": np.ones((1, 7), np.float32), "rate": np.array(16_000)}
    with pytest.raises(UsageError, match="does not tell its layout") as refusal:
        Plan.make(samples, {})
    assert "none leaves the input out" in str(refusal.value.hint)
    assert [each.name for each in Plan.make(samples, {}, layouts={"rate": "none"}).inputs] == ["x"]
    with pytest.raises(UsageError, match="no arrays of numbers to look at"):
        Plan.make(samples, {}, layouts={"x": "none", "rate": "none"})


def test_series_may_have_one_channel_without_an_axis_and_any_length() -> None:
    (layout,) = Plan.make({"ids": np.ones((1, 34), np.int64)}, {}, layouts={"ids": "NT"}).inputs
    assert layout.channels == 1
    assert [layout.fault(np.ones(shape, np.int64)) for shape in ((1, 3), (2, 40))] == [None, None]
    assert [frame.shape for frame in layout.frames(np.ones((2, 5), np.int64))] == [(1, 5, 1), (1, 5, 1)]


def test_what_never_moved_does_not_blind_what_goes_together() -> None:
    """No picture that says what is usual has a row twice; some of those that set the threshold do."""
    clean = pictures(600, seed=8)
    for picture in clean[301:600:20]:
        picture[0, 6] = picture[0, 5]
    plan, samples = measured(clean)
    profile = calibrate_part(fit_part(plan, samples[:300]).freeze(), samples[300:]).finish(
        MODEL, alpha=0.03, delta=0.1
    )
    assert profile.stages[0].thresholds["surprise", "*"] < 20


def sparse(count: int, random: np.random.Generator, columns: int) -> np.ndarray:
    """Returns vectors of which four columns in five are nearly always 0, some hardly ever anything else."""
    chances = np.geomspace(0.0003, 0.1, columns)
    chances[::5] = 1
    is_set = random.random((count, columns)) < chances
    return np.where(is_set, random.uniform(0.2, 1, (count, columns)), 0).astype(np.float32)


# With so many columns, all are looked at together or none.
@pytest.mark.parametrize("columns", [60, 200])
def test_columns_that_are_nearly_always_0_do_not_blind_a_profile(columns: int) -> None:
    random = np.random.default_rng(12)
    samples = sparse(1600, random, columns)
    plan = Plan.make({"x": samples[:1]}, {}, early=[{"x": samples[:256]}])
    fitted, calibrated, others = (measure(plan, {"x": part}, {}) for part in np.split(samples, [700, 1400]))
    usual = fit_part(plan, [fitted]).freeze()
    guard = Guard(calibrate_part(usual, [calibrated]).finish(MODEL, alpha=0.01, delta=0.05))
    scores = Signal.measured(usual.inputs, others.inputs).scores()
    assert (scores > guard.profile.stages[0].thresholds["surprise", "*"]).mean() <= 0.01
    for factor in (255, 3, 1 / 255):
        assert all(guard.check_inputs({"x": row[None] * np.float32(factor)}) for row in samples[1400:1440])
