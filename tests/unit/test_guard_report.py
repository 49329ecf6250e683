"""The report on a guard: what it measures, that it goes on where it was, and what it writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep.cli import main
from modelkeep.errors import UsageError
from modelkeep.guard import GuardProfile
from modelkeep.guard.layout import Layout
from modelkeep.guard_report import Settings, measure_guard, write_report
from modelkeep.guard_report.attacks import ATTACKS, Task, allowed, grid_of
from modelkeep.guard_report.state import Steps
from support.classifier import classifier
from support.pictures import pictures

SMALL = Settings(faulty=6, attacked=3, tries=12)
LAYOUT = Layout("x", "NHWC", 3, 0.0, 1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("report") / "net.onnx")


@pytest.fixture(scope="module")
def profile(model: Path) -> GuardProfile:
    learned = ({"x": picture} for picture in pictures(300, seed=40))
    return GuardProfile.learn(learned, model=model, alpha=0.1, delta=0.1, embedding="h")


def held_out(count: int = 30) -> list[Mapping[str, Any]]:
    return [{"x": picture} for picture in pictures(count, seed=77)]


def measured(model: Path, profile: GuardProfile, **options: Any) -> dict[str, Any]:
    return measure_guard(held_out(), model=model, profile=profile, **({"settings": SMALL} | options))


def task(attack_seed: int = 1) -> Task:
    start, other = (picture.astype(np.float64) for picture in pictures(2, seed=9))
    return Task(start, other, LAYOUT, 8 / 255, np.random.default_rng(attack_seed))


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "latency"}


def test_a_report_has_every_part(model: Path, profile: GuardProfile) -> None:
    result = measured(model, profile)
    assert result["clean"]["samples"] == 30
    for stage in ("signal", "model"):
        false_alarms = result["clean"]["stages"][stage]
        assert false_alarms["promised"] == 0.1
        assert false_alarms["rate"] == false_alarms["alarms"] / 30
        assert false_alarms["chance"] > 0.01
    assert {rule["rule"] for rule in result["clean"]["rules"]} == {
        "envelope", "joint", "margin", "distance"
    }  # fmt: skip
    faults = {row["fault"]: row for row in result["faults"]}
    assert all(
        faults[name]["any"] == 1 for name in ("x 255", "constant", "noise", "bytes swapped", "one NaN")
    )
    assert faults["one NaN"]["contract"] == 1
    assert [row["attack"] for row in result["attacks"]] == list(ATTACKS)
    assert all(row["unseen"] <= row["won"] for row in result["attacks"])
    assert all(each["median"] > 0 for each in result["latency"].values())


def test_an_attack_without_limits_gets_through_a_guard_that_is_off(
    model: Path, profile: GuardProfile
) -> None:
    blind = profile.with_actions(signal="off", model="flag")
    result = measured(model, blind, settings=Settings(faulty=1, attacked=4, tries=40, reach=1.0))
    rows = {row["attack"]: row for row in result["attacks"]}
    assert rows["square"]["won"] == 1
    assert "signal" not in result["clean"]["stages"]


def test_the_same_seed_gives_the_same_report(model: Path, profile: GuardProfile) -> None:
    assert without_time(measured(model, profile)) == without_time(measured(model, profile))


def test_an_interrupted_report_goes_on_where_it_was(
    model: Path, profile: GuardProfile, tmp_path: Path
) -> None:
    whole, state, done = measured(model, profile), tmp_path / "state", [0]

    def interrupt(count: int) -> None:
        done[0] += count
        if done[0] == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(model, profile, state=state, progress=interrupt)
    kept = json.loads(state.read_text())["results"]
    assert len(kept) == 14
    # What is kept is taken as it is, and not measured again.
    kept["clean"]["samples"] = 999
    state.write_text(json.dumps({"key": json.loads(state.read_text())["key"], "results": kept}))
    again = measured(model, profile, state=state)
    assert again["clean"]["samples"] == 999
    assert without_time(again) == without_time(whole) | {"clean": whole["clean"] | {"samples": 999}}
    other = measured(model, profile, state=state, settings=Settings(faulty=2, attacked=1, tries=3))
    assert other["clean"]["samples"] == 30


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": "k", "results": 3}', "[" * 100_000])
def test_a_state_that_cannot_be_used_is_left(tmp_path: Path, content: str) -> None:
    (tmp_path / "state").write_text(content)
    assert Steps(tmp_path / "state", "k").do("a", lambda: {"b": 1}) == {"b": 1}


def test_a_profile_of_another_model_and_missing_samples_are_refused(
    model: Path, profile: GuardProfile, tmp_path: Path
) -> None:
    (tmp_path / "other.onnx").write_bytes(model.read_bytes() + b"\x0a\x00")
    with pytest.raises(UsageError, match="another model"):
        measured(tmp_path / "other.onnx", profile)
    for samples in ([], [{"y": np.zeros(3)}], [{"x": np.zeros((1, 24, 24, 3))}]):
        with pytest.raises(UsageError, match="sample"):
            measure_guard(samples, model=model, profile=profile)
    for wrong in (Settings(tries=0), Settings(reach=float("nan")), Settings(seed=-1)):
        with pytest.raises(UsageError):
            measured(model, profile, settings=wrong)


@pytest.mark.parametrize("name", ["random noise", "square"])
def test_small_changes_stay_within_reach_and_on_the_levels(name: str) -> None:
    given = task()
    best, grid = given.start, grid_of(given.start, LAYOUT)
    assert grid == pytest.approx(1 / 255)
    for spent in np.linspace(0, 0.95, 20):
        best = allowed(given, ATTACKS[name].propose(given, best, float(spent)), grid)
        assert np.abs(best - given.start).max() <= 8 / 255 + 1e-6
        assert grid_of(best, LAYOUT) == grid
    assert (best != given.start).any()


def test_a_patch_changes_one_block() -> None:
    given = task()
    best = given.start
    for spent in (0.0, 0.3, 0.6, 0.9):
        best = ATTACKS["patch of 5 %"].propose(given, best, spent)
        assert 0 < (best != given.start).any(axis=3).mean() <= 0.06


def test_the_boundary_attack_comes_nearer() -> None:
    given = task()
    first = ATTACKS["boundary"].propose(given, given.start, 0.0)
    assert given.other is not None
    assert (first == given.other).all()
    near = ATTACKS["boundary"].propose(given, first, 0.1)
    assert np.abs(near - given.start).mean() < np.abs(first - given.start).mean()


def test_inputs_without_256_levels_have_no_grid() -> None:
    assert grid_of(np.random.default_rng(0).random((4, 4)), LAYOUT) is None


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attributes if name in {"src", "href"}]


def test_the_page_stands_alone_and_says_the_same_as_the_json(
    model: Path, profile: GuardProfile, tmp_path: Path
) -> None:
    result = measured(model, profile)
    result["faults"][0]["fault"] = "<script>x</script>"
    beside = write_report(result, tmp_path / "report.html")
    assert json.loads(beside.read_text()) == result
    tags = Tags()
    tags.feed((tmp_path / "report.html").read_text())
    assert tags.seen.count("svg") == len(result["clean"]["rules"]) + 2
    assert "script" not in tags.seen
    assert tags.links == []


def test_a_report_from_the_command_line(
    model: Path, profile: GuardProfile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "many.npz", x=np.concatenate([each["x"] for each in held_out(8)]))
    profile.save(tmp_path / "guard.json")
    words = ["guard", "report", "--stacked", str(tmp_path / "many.npz"), "--model", str(model)]
    words += ["--guard", str(tmp_path / "guard.json"), "--attacked", "1", "--tries", "3", "-o"]
    assert main([*words, str(tmp_path / "out.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clean"]["samples"] == 8
    assert {path.name for path in tmp_path.iterdir()} == {"many.npz", "guard.json", "out.html", "out.json"}
    assert main([*words, str(tmp_path / "out.html")]) == 2
    assert main([*words, str(tmp_path / "out.json"), "--force"]) == 2
