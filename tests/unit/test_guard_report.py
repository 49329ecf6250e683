"""The report on the guard of a plain model: what it measures, with labels and without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.errors import UsageError
from modelkeep.guard import Guard, GuardProfile
from modelkeep.guard.faults import MOST_FAULTS, faults_for
from modelkeep.guard.layout import Layout
from modelkeep.guard_report import Settings, measure_guard
from modelkeep.guard_report.attacks import ATTACKS, Task, allowed, grid_of
from modelkeep.guard_report.case import make_cases
from modelkeep.guard_report.corruptions import corrupted
from modelkeep.guard_report.shares import share
from modelkeep.guard_report.subject import Subject
from modelkeep.learning import learn, running
from modelkeep.model import read_model
from support.classifier import classifier
from support.pictures import pictures
from support.reported import SMALL, held_out, predictions, reported, without_time

LAYOUT = Layout("x", "NHWC", 3, 0.0, 1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("report") / "net.onnx")


@pytest.fixture(scope="module")
def profile(model: Path) -> GuardProfile:
    return reported()


@pytest.fixture(scope="module")
def result(model: Path, profile: GuardProfile) -> dict[str, Any]:
    return measured(model, profile)


def measured(model: Path, profile: GuardProfile, **options: Any) -> dict[str, Any]:
    return measure_guard(held_out(), model=model, profile=profile, **({"settings": SMALL} | options))


def task(attack_seed: int = 1) -> Task:
    start, other = (picture.astype(np.float64) for picture in pictures(2, seed=9))
    return Task(start, other, LAYOUT, 8 / 255, np.random.default_rng(attack_seed))


def by_name(rows: list[dict[str, Any]], what: str) -> dict[str, dict[str, Any]]:
    return {row[what]: row for row in rows}


def test_a_report_says_how_often_clean_samples_are_alarms(result: dict[str, Any]) -> None:
    clean = result["clean"]
    assert clean["samples"] == 30
    for stage in ("signal", "model"):
        false_alarms = clean["stages"][stage]
        assert false_alarms["promised"] == 0.1
        assert false_alarms["share"] == false_alarms["count"] / 30
        assert false_alarms["chance"] > 0.01
    assert clean["any"]["promised"] == 0.2
    assert clean["any"]["count"] >= max(each["count"] for each in clean["stages"].values())
    # Only the signal stage rejects.
    assert clean["refused"]["count"] == clean["stages"]["signal"]["count"]
    assert clean["accuracy"] is None
    assert {rule["rule"] for rule in clean["rules"]} == {
        "surprise", "margin", "distance"
    }  # fmt: skip
    for rule in clean["rules"]:
        assert rule["samples"] == 30 and rule["not_finite"] == 0
        shares, scores = zip(*rule["ranks"], strict=True)
        assert shares[0] == 1 / 30 and shares[-1] == 1 and list(scores) == sorted(scores, reverse=True)
    assert clean["over_time"] == {"alarm": None, "frames": 30}
    assert len(clean["scores"]) == 30 and result["sample_sizes"][-1]["samples"] == 30


def test_a_report_says_which_stage_sees_which_fault(result: dict[str, Any]) -> None:
    faults = by_name(result["faults"], "fault")
    assert len(faults) == MOST_FAULTS
    assert list(faults["x 255"]["alarms"]) == ["contract", "signal", "model"]
    gross = ("x 255", "/ 255", "constant", "noise", "bytes swapped", "normalised once too often")
    seen = (*gross, "half frozen", "one NaN", "all NaN", "transposed")
    assert all(
        faults[name]["any"]["share"] == 1 for name in (*seen, "transposed", "normalised once too often")
    )
    for name in ("one NaN", "all NaN", "transposed"):
        assert faults[name]["alarms"]["contract"]["share"] == 1
        assert faults[name]["refused"]["share"] == faults[name]["changed"]["share"] == 1
    assert faults["x 255"]["alarms"]["contract"]["share"] == 0
    assert all(row["unseen"]["count"] <= row["accepted"]["count"] for row in faults.values())


def test_a_report_says_which_attacks_win(result: dict[str, Any]) -> None:
    assert [row["attack"] for row in result["attacks"]] == list(ATTACKS)
    for row in result["attacks"]:
        assert row["samples"] == row["won"]["of"] == 3
        assert row["unseen"]["count"] <= row["accepted"]["count"] <= row["won"]["count"]
        assert row["any"]["of"] == row["won"]["count"] == row["any"]["count"] + row["unseen"]["count"]
        assert 1 <= row["tries"]["plain"] <= 12
    assert result["source"] == {"kind": "plain"}
    assert result["callers"] is None


def test_a_report_says_how_long_each_part_takes(result: dict[str, Any]) -> None:
    assert list(result["latency"]) == ["contract", "inference", "signal", "model"]
    assert all(each["slow"] >= each["median"] > 0 for each in result["latency"].values())


def test_labels_give_accuracy_and_choose_what_is_attacked(
    model: Path, profile: GuardProfile, tmp_path: Path
) -> None:
    samples = held_out()
    labels = predictions(tmp_path, samples)
    for place in (0, 2, 5):
        labels[place] = (labels[place] + 1) % 4
    result = measured(model, profile, labels=labels)
    clean = result["clean"]["accuracy"]
    assert (clean["count"], clean["of"]) == (27, 30)
    faults = by_name(result["faults"], "fault")
    assert faults["one NaN"]["accuracy"] == share(0, 0)
    assert faults["upside down"]["accuracy"]["of"] == 6
    assert faults["upside down"]["accuracy"]["count"] <= 3 + faults["upside down"]["changed"]["count"]
    most = measured(model, profile, labels=labels, settings=Settings(faulty=1, attacked=40, tries=1))
    assert most["attacks"][0]["samples"] == 27


def test_without_one_right_answer_nothing_is_attacked(
    model: Path, profile: GuardProfile, tmp_path: Path
) -> None:
    labels = [(each + 1) % 4 for each in predictions(tmp_path, held_out())]
    rows = measured(model, profile, labels=labels)["attacks"]
    assert all(row["won"] == row["any"] == share(0, 0) for row in rows)
    assert rows[0]["tries"] == {"plain": None, "adaptive": None}


def test_a_batch_counts_by_its_rows(model: Path, profile: GuardProfile, tmp_path: Path) -> None:
    samples = [{"x": np.concatenate(pictures(5, seed=seed))} for seed in (5, 6)]
    labels = predictions(tmp_path, list(samples))
    labels[1] = labels[1].copy()
    labels[1][3] = (labels[1][3] + 1) % 4
    result = measure_guard(samples, model=model, profile=profile, labels=labels, settings=SMALL)
    assert result["clean"]["accuracy"] == share(9, 10)
    # Attacked are calls of which all rows are right.
    assert result["attacks"][0]["samples"] == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([0.0]), "float64"),
        (np.array([True]), "bool"),
        (np.array([[1, 0, 0, 0]]), "shape"),
        (np.array([1, 2]), "shape"),
        (np.array([4]), "0 to 3"),
        (np.array([-1]), "0 to 3"),
        (None, "29 samples"),
    ],
)
def test_wrong_labels_are_refused(
    model: Path, profile: GuardProfile, wrong: np.ndarray | None, message: str
) -> None:
    labels = [np.array(0)] * 29 + ([] if wrong is None else [wrong])
    with pytest.raises(UsageError, match=message):
        measured(model, profile, labels=labels)


def test_labels_are_for_predictions(model: Path, profile: GuardProfile) -> None:
    """A model that makes one prediction of two samples: which label would it be?"""
    two = {"x": np.concatenate(pictures(2, seed=5))}
    with running(read_model(model)) as runner:
        subject = Subject(lambda inputs: runner.run({"x": inputs["x"][:1]}), None, Guard(profile), two)
        (case,) = make_cases(subject, [two], [np.array([1, 2])])
        with pytest.raises(UsageError, match="one for each prediction"):
            _ = case.answer
        answer = subject.ask(two)
    assert answer.lead(np.array([1, 2])) == np.inf
    assert case.right(answer) == 0


def test_whole_numbers_are_measured_too(tmp_path: Path) -> None:
    model = classifier(tmp_path / "bytes.onnx", takes_bytes=True)
    samples = [{"x": np.rint(each * 255).astype(np.uint8)} for each in pictures(330, seed=40)]
    profile = learn(samples[:300], model=model, alpha=0.1, delta=0.1)
    result = measure_guard(samples[300:], model=model, profile=profile, settings=SMALL)
    faults = by_name(result["faults"], "fault")
    assert not {"bytes swapped", "one NaN", "all NaN"} & faults.keys()
    assert faults["transposed"]["alarms"]["contract"]["share"] == 1
    assert all(faults[name]["any"]["share"] == 1 for name in ("x 255", "/ 255", "constant", "half frozen"))
    assert {row["won"]["of"] for row in result["attacks"]} == {3}


def test_an_attack_without_limits_gets_through_a_guard_that_is_off(
    model: Path, profile: GuardProfile
) -> None:
    blind = profile.with_actions(signal="off", model="flag")
    result = measured(model, blind, settings=Settings(faulty=1, attacked=4, tries=40, reach=1.0))
    rows = by_name(result["attacks"], "attack")
    assert rows["square"]["won"]["share"] == rows["square"]["accepted"]["share"] == 1
    assert rows["square"]["carried"]["won"]["of"] == 12
    assert list(result["clean"]["stages"]) == list(rows["square"]["alarms"])[1:] == ["model"]
    assert list(result["latency"]) == ["contract", "inference", "model"]


def test_the_same_seed_gives_the_same_report(
    model: Path, profile: GuardProfile, result: dict[str, Any]
) -> None:
    assert without_time(measured(model, profile)) == without_time(result)
    other = measured(model, profile, settings=Settings(faulty=6, attacked=3, tries=12, seed=2))
    assert other["attacks"] != result["attacks"]


def test_a_profile_of_another_model_and_missing_samples_are_refused(
    model: Path, profile: GuardProfile, tmp_path: Path
) -> None:
    (tmp_path / "other.onnx").write_bytes(model.read_bytes() + b"\x32\x01x")
    with pytest.raises(UsageError, match="another model"):
        measured(tmp_path / "other.onnx", profile)
    wrong_samples: list[list[Mapping[str, Any]]] = [
        [], [{"y": np.zeros(3)}], [{"x": np.zeros((1, 24, 24, 3))}]
    ]  # fmt: skip
    for samples in wrong_samples:
        with pytest.raises(UsageError, match="sample"):
            measure_guard(samples, model=model, profile=profile)
    for wrong in (Settings(tries=0), Settings(reach=float("nan")), Settings(seed=-1)):
        with pytest.raises(UsageError):
            measured(model, profile, settings=wrong)


@pytest.mark.parametrize("name", ["random noise", "towards another class", "square"])
def test_small_changes_stay_within_reach_and_on_the_levels(name: str) -> None:
    given = task()
    best, grid = given.start, grid_of(given.start, LAYOUT)
    assert grid == pytest.approx(1 / 255)
    for spent in np.linspace(0, 0.95, 20):
        best = allowed(given, ATTACKS[name].propose(given, best, float(spent)), grid)
        assert np.abs(best - given.start).max() <= 8 / 255 + 1e-6
        assert grid_of(best, LAYOUT) == grid
    assert (best != given.start).any()


@pytest.mark.parametrize("name", ["patch of 5 %", "patch of another class"])
def test_a_patch_changes_one_block(name: str) -> None:
    given = task()
    best = given.start
    for spent in (0.0, 0.3, 0.6, 0.9):
        best = ATTACKS[name].propose(given, best, spent)
        assert 0 < (best != given.start).any(axis=3).mean() <= 0.06


def test_the_boundary_attack_comes_nearer() -> None:
    given = task()
    first = ATTACKS["boundary"].propose(given, given.start, 0.0)
    assert given.other is not None
    assert (first == given.other).all()
    near = ATTACKS["boundary"].propose(given, first, 0.1)
    assert np.abs(near - given.start).mean() < np.abs(first - given.start).mean()


def test_attacks_that_need_another_class_do_without() -> None:
    alone = Task(task().start, None, LAYOUT, 8 / 255, np.random.default_rng(1))
    for attack in ATTACKS.values():
        assert attack.propose(alone, alone.start, 0.0).shape == alone.start.shape


def test_what_was_found_is_carried_over() -> None:
    given = task()
    assert given.other is not None
    found = ATTACKS["patch of 5 %"].propose(given, given.start, 0.0)
    carry = ATTACKS["patch of 5 %"].carry
    assert carry is not None
    carried = carry(given.start, found, given.other)
    block = found != given.start
    assert (carried[block] == found[block]).all()
    assert (carried[~block] == given.other[~block]).all()
    add = ATTACKS["square"].carry
    assert add is not None
    assert np.allclose(add(given.start, given.start + 0.1, given.other), given.other + 0.1)


@pytest.mark.parametrize("axes", ["NHWC", "NTC", "NF", "CHW"])
def test_corruptions_stay_within_the_range(axes: str) -> None:
    layout = Layout("x", axes, 3, -2.0, 2.0)
    random = np.random.default_rng(5)
    start = random.uniform(-2, 2, [3 if axis in "CF" else 8 for axis in axes])
    found = [corrupted(start, layout, random) for _ in range(60)]
    assert all(each.shape == start.shape and abs(each).max() <= 2 for each in found)
    # Few specks on a small input may hit nothing.
    assert np.mean([(each != start).any() for each in found]) > 0.9


def test_inputs_without_256_levels_have_no_grid() -> None:
    assert grid_of(np.random.default_rng(0).random((4, 4)), LAYOUT) is None


@pytest.mark.parametrize(
    ("axes", "kind", "missing"),
    [
        ("NHWC", "float32", set()),
        ("NHWC", "uint8", {"bytes swapped", "one NaN", "all NaN"}),
        ("NTC", "float16", {"channels reversed", "patch of 5 %"}),
        ("HW", "float32", {"channels reversed", "transposed"}),
        (
            "NF",
            "int16",
            {
                "one NaN",
                "all NaN",
                "half frozen",
                "upside down",
                "channels reversed",
                "transposed",
                "patch of 5 %",
            },
        ),
    ],
)
def test_every_kind_of_input_has_its_faults(axes: str, kind: str, missing: set[str]) -> None:
    layout = Layout("x", axes, 3, 0.0, 255.0)
    random = np.random.default_rng(5)
    values = random.integers(1, 255, [3 if axis in "CF" else 8 for axis in axes]).astype(kind)
    faults = faults_for(values.dtype, layout)
    everything = faults_for(np.dtype("float32"), LAYOUT)
    assert everything.keys() - faults.keys() == missing
    for name, fault in faults.items():
        changed = fault(values, layout, random)
        assert changed.shape == values.shape or name == "transposed", name
        assert changed.shape != values.shape or not np.array_equal(changed, values), name


def test_half_frozen_repeats_the_last_reading_of_the_first_half() -> None:
    values = np.arange(2 * 6 * 2, dtype=np.float32).reshape(2, 6, 2)
    frozen = faults_for(values.dtype, Layout("x", "NTC", 2, 0, 24))["half frozen"](
        values, Layout("x", "NTC", 2, 0, 24), np.random.default_rng(0)
    )
    assert (frozen[:, :3] == values[:, :3]).all()
    assert (frozen[:, 3:] == values[:, 2:3]).all()


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 20, 0.0, 0.1684), (3, 20, 0.0321, 0.3789), (20, 20, 0.8316, 1.0), (1, 1, 0.025, 1.0)],
)
def test_shares_have_exact_intervals(count: int, of: int, low: float, high: float) -> None:
    """The figures are those of the tables of Clopper and Pearson."""
    found = share(count, of)
    assert (found["count"], found["of"], found["share"]) == (count, of, count / of)
    assert found["low"] == pytest.approx(low, abs=5e-5)
    assert found["high"] == pytest.approx(high, abs=5e-5)
