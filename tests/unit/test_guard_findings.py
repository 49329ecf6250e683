"""Findings say what is out: feature, direction, value, usual range, name, sample; and what learning tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard import Guard, GuardFinding, GuardProfile
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.faults import faults_for
from modelkeep.guard.features import features_of
from modelkeep.guard.fit import Fit
from modelkeep.guard.layout import LAYOUTS, Layout
from modelkeep.guard.meanings import WORDS
from modelkeep.guard.plan import Plan
from modelkeep.guard.sample import measure
from modelkeep.guard.tails import MOST
from modelkeep.guard.trial import try_profile
from support.guarded import MODEL, calibrated, measured, picture_profile
from support.pictures import pictures

_COLUMNS = ["speed", "load", "ambient", "valve"]


def machine(count: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    load = random.beta(2, 2, count)
    columns = [1450 + 120 * load, load, random.normal(8, 9, count), random.integers(0, 4, count)]
    return np.stack(columns, axis=1).astype(np.float32)


def learned(count: int, **options: Any) -> GuardProfile:
    samples = [{"x": row[None]} for row in machine(count, 1)]
    plan = Plan.make(samples[0], {}, early=samples[:256], **options)
    found = [measure(plan, sample, {}) for sample in samples]
    return calibrated(plan, found).finish(MODEL, alpha=0.05, delta=0.05)


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    yield Guard(learned(800, names={"x": _COLUMNS}))


def only(found: tuple[GuardFinding, ...]) -> GuardFinding:
    (finding,) = found
    return finding


def test_a_finding_names_column_direction_value_and_usual_range(guard: Guard) -> None:
    row = machine(1, 2)
    row[0, 2] = 95  # degrees Fahrenheit and more
    finding = only(guard.check({"x": row}))
    cause = next(cause for cause in finding.causes if cause.feature == "linear-2")
    assert cause.words == "value of column 'ambient'" and cause.direction == "above"
    assert cause.value == pytest.approx(95, rel=1e-3)
    low, high = cause.usual
    assert -25 < low < -5 and 20 < high < 40
    assert "'ambient' 95, usually" in finding.detail and finding.rule == "surprise"


def test_every_feature_that_is_out_is_told(guard: Guard) -> None:
    row = machine(1, 2)
    row[0, 0], row[0, 3] = 10, 77
    causes = {cause.feature: cause for cause in only(guard.check({"x": row})).causes}
    assert causes["linear-0"].direction == "below" and causes["linear-3"].direction == "above"


def test_what_does_not_go_together_names_what_contributes(guard: Guard) -> None:
    row = machine(1, 2)
    row[0, 0], row[0, 1] = 1450 + 120 * 0.15, 0.85  # each usual by itself
    finding = only(guard.check({"x": row}))
    first, *others = finding.causes
    assert first.feature == "joint"
    assert {"linear-0", "linear-1"} <= {cause.feature for cause in others}


def test_a_batch_says_which_samples(guard: Guard) -> None:
    batch = machine(6, 2)
    batch[4, 0], batch[1, 0] = 1e6, 1800
    finding = only(guard.check({"x": batch}))
    assert set(finding.samples) == {1, 4} and finding.samples[0] == 4
    assert "samples 4, 1" in str(finding)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_found(guard: Guard, value: float) -> None:
    row = machine(1, 2)
    row[0, 1] = value
    assert only(guard.check({"x": row})).causes[0].feature == "not-finite"
    picture = pictures(1, seed=50, size=224)[0]
    picture[0, 100, 7, 2] = value
    finding = only(Guard(picture_profile()).check({"x": picture}))
    assert finding.causes[0].feature == "not-finite" and finding.score == MOST


def test_clean_samples_with_nan_make_it_usual() -> None:
    samples = [{"x": row[None]} for row in machine(400, 1)]
    for sample in samples[::3]:
        sample["x"][0, 1] = np.nan
    plan = Plan.make(samples[0], {}, early=samples[:50])
    fit = Fit(plan)
    for sample in samples[:200]:
        fit.add(measure(plan, sample, {}))
    calibration = Calibration(fit.freeze())
    for sample in samples[200:]:
        calibration.add(measure(plan, sample, {}))
    guard = Guard(calibration.finish(MODEL, alpha=0.05, delta=0.1))
    row = machine(1, 3)
    row[0, 1] = np.nan
    assert guard.check({"x": row}) == ()


def test_vectors_see_units_in_columns_that_cross_zero(guard: Guard) -> None:
    rows = machine(200, 4)
    celsius = [bool(guard.check({"x": row[None]})) for row in rows]
    rows[:, 2] = rows[:, 2] + 273.15
    assert sum(celsius) <= 20
    assert all(guard.check({"x": row[None]}) for row in rows)


def test_names_must_fit() -> None:
    for names in (["a", "b"], ["a", "b", "c", "c"]):
        with pytest.raises(UsageError, match="names for 4"):
            Plan.make({"x": machine(1, 1)}, {}, names={"x": names})
    with pytest.raises(UsageError, match="no input 'y'"):
        Plan.make({"x": machine(1, 1)}, {}, names={"y": ["a"]})


def test_every_kind_of_feature_is_explained() -> None:
    layouts = [Layout("x", axes, 3, 0.0, 1.0, centres=(0.0,) * 3, scales=(1.0,) * 3) for axes in LAYOUTS]
    kinds = {feature.kind for layout in layouts for feature in features_of(layout)} | {"joint"}
    page = (Path(__file__).parents[2] / "docs" / "guard.md").read_text("utf-8")
    assert kinds == WORDS.keys() == set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))


def test_learning_tries_faults_and_says_what_it_hangs_on() -> None:
    few, many = learned(160), learned(3000)
    samples = [{"x": row[None]} for row in machine(20, 7)]
    trial = try_profile(few, samples)
    assert trial.at_maximum == ("signal",) and 160 < trial.helpful < 3000
    assert any("strangest of all clean samples" in warning for warning in trial.warnings())
    assert {fault.name for fault in trial.faults} == faults_for(np.dtype("f4"), few.inputs[0].layout).keys()
    steady = try_profile(many, samples)
    assert steady.at_maximum == () and steady.helpful == trial.helpful
    assert not [warning for warning in steady.warnings() if "threshold" in warning]
    assert next(fault for fault in steady.faults if fault.name == "x 255").caught == 20


def test_a_gross_fault_that_passes_is_a_warning() -> None:
    profile = learned(800)
    blind = replace(profile, stages=(replace(profile.stages[0], thresholds={("surprise", "*"): 1e10}),))
    trial = try_profile(blind, [{"x": row[None]} for row in machine(5, 7)])
    assert any(warning.startswith("x 255: only 0 of 5") for warning in trial.warnings())


def test_patches_that_pass_are_a_warning_that_says_what_helps() -> None:
    profile = picture_profile()
    blind = replace(profile, stages=(replace(profile.stages[0], thresholds={("surprise", "*"): 1e10}),))
    samples: list[Mapping[str, Any]] = [{"x": picture} for picture in pictures(10, seed=3)]
    seen, missed = (
        [each for each in try_profile(tried, samples).warnings() if each.startswith("patch of 5 %")]
        for tried in (profile, blind)
    )
    assert not seen and "a profile for each site" in missed[0]


def test_learning_names_clean_samples_that_blunt_the_profile() -> None:
    flat = np.ones((1, 24, 24, 3), np.float32)
    samples = pictures(400, seed=5)
    odd = [8, 20, 106, 200, 202, 204, 330, 332]
    for call in odd:
        samples[call - 1] = flat
    calibration = calibrated(*measured(samples))
    profile = calibration.finish(bytes(32), alpha=0.03, delta=0.1)
    trial = try_profile(profile, [], calibration.signal_scores())
    assert trial.odd == tuple(odd)
    assert any("8 clean samples are far stranger" in warning for warning in trial.warnings())


def test_what_a_fault_leaves_as_it_was_is_not_tried() -> None:
    black = [{"x": np.zeros((1, 24, 24, 3), np.float32)}] * 5
    tried = {fault.name: fault.tried for fault in try_profile(picture_profile(), black).faults}
    assert "x 255" not in tried and tried["one NaN"] == tried["transposed"] == 5
