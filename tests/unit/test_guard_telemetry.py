"""Telemetry: counts that persist, merge over devices, tell a shift from chance, and hold no input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelkeep import canonical
from modelkeep.cli import main
from modelkeep.errors import MalformedError, UnsupportedVersionError, UsageError
from modelkeep.guard import Guard, StreamGuard, Telemetry
from modelkeep.guard.telemetry import Histogram
from support.guarded import picture_profile
from support.pictures import pictures


def watched(count: int, seed: int, light: float = 1.0) -> Guard:
    guard = Guard(picture_profile())
    for picture in pictures(count, seed):
        guard.check_inputs({"x": (np.rint(picture * light * 255) / 255).astype(np.float32)})
    return guard


def test_clean_inputs_lie_where_clean_samples_did_and_darker_ones_do_not() -> None:
    clean, dark = watched(200, 71).telemetry(), watched(200, 72, light=0.7).telemetry()
    assert clean.shifted() == []
    assert clean.counts["signal.checked"] == 200
    assert sum(clean.scores[0].seen) == 200 and all(sum(each.seen) == 200 for each in clean.features)
    assert any("mean" in each.name for each in dark.shifted())
    assert sum(dark.scores[0].seen[-1:]) > sum(clean.scores[0].seen[-1:])


def test_devices_and_days_add_up_whatever_their_order(tmp_path: Path) -> None:
    parts = [watched(count, seed).telemetry() for count, seed in ((30, 1), (70, 2), (5, 3))]
    together = Telemetry.merged(parts)
    assert together == Telemetry.merged(reversed(parts))
    assert together.counts["signal.checked"] == 105
    together.save(tmp_path / "telemetry.json")
    assert Telemetry.load(tmp_path / "telemetry.json") == together
    # After a restart it goes on where it was; a new window begins with nothing.
    guard = watched(10, 4)
    guard.resume(Telemetry.load(tmp_path / "telemetry.json"))
    guard.stream = StreamGuard(guard.profile)
    guard.check_inputs({"x": pictures(1, 5)[0]})
    assert guard.telemetry(restart=True).counts["signal.checked"] == 116
    assert guard.telemetry().counts == {}
    assert all(sum(each.seen) == 0 for each in guard.telemetry().features)


def test_it_holds_counts_alone() -> None:
    text = canonical.encode(watched(3, 1).telemetry().to_json()).decode()
    thresholds = [str(each) for stage in picture_profile().stages for each in stage.thresholds.values()]
    assert not any(each in text for each in thresholds)
    assert "quantiles" not in text

    def leaves(value: Any) -> Any:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return [value] if children is None else [leaf for child in children for leaf in leaves(child)]

    assert all(isinstance(leaf, int | str) for leaf in leaves(json.loads(text)))
    # Nothing tells the minute in which somebody stood before a camera.
    assert watched(1, 1).telemetry().begun % 3600 == 0


def test_other_profiles_do_not_add_up() -> None:
    other = picture_profile().with_actions(signal="flag")
    with pytest.raises(UsageError, match="different profiles"):
        Telemetry.merged([watched(1, 1).telemetry(), Guard(other).telemetry()])
    with pytest.raises(UsageError, match="no telemetry"):
        Telemetry.merged([])


@pytest.mark.parametrize(
    "change",
    [
        {"format": "modelkeep/guard"},
        {"begun": 10**12},
        {"ended": 253_402_300_800},
        {"counts": []},
        {"counts": {"signal.checked": -1}},
        {"scores": [{"name": "a", "seen": [1], "usual": [1]}]},
        {"features": [{"name": "a", "seen": [0] * 8, "usual": [0] * 8}]},
        {"more": 1},
        {"version": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_documents_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(canonical.encode(watched(1, 1).telemetry().to_json() | change))
    with pytest.raises((MalformedError, UnsupportedVersionError)):
        Telemetry.load(tmp_path / "a.json")


def test_chance_alone_is_seldom_called_a_shift() -> None:
    """Of 400 sets of 100 histograms at most 1 % may hold one that is called shifted."""
    random, chances = np.random.default_rng(1), np.array([1, 4, 20, 25, 25, 20, 4, 1]) / 100
    called = 0
    for _ in range(400):
        usual, seen = random.multinomial(750, chances, 100), random.multinomial(2000, chances, 100)
        pairs = zip(usual.tolist(), seen.tolist(), strict=True)
        histograms = [Histogram("x", tuple(one), tuple(two)) for one, two in pairs]
        called += any(each.shift > each.noise(len(histograms)) for each in histograms)
    assert called <= 4


def test_status_says_what_devices_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched(60, 1).telemetry().save(tmp_path / "a.json")
    watched(60, 2, light=0.7).telemetry().save(tmp_path / "b.json")
    assert main(["guard", "status", str(tmp_path / "a.json")]) == 0
    assert "no feature has shifted" in capsys.readouterr().out
    assert main(["guard", "status", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    text = capsys.readouterr().out
    assert "signal: 120 checked" in text and "lie elsewhere, lower" in text
    assert main(["guard", "status", str(tmp_path / "b.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["signal.checked"] == 60
    watched(60, 3, light=0.01).telemetry().save(tmp_path / "d.json")
    assert main(["guard", "status", str(tmp_path / "d.json")]) == 0
    assert "60 checked, 60 rejected (100 %)" in capsys.readouterr().out
    Guard(picture_profile()).telemetry().save(tmp_path / "c.json")
    assert main(["guard", "status", str(tmp_path / "c.json")]) == 0
    assert "nothing was checked" in capsys.readouterr().out
