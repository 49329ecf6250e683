"""Streams: frozen frames, lasting changes, what is kept over a restart; flags for the application."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import modelkeep
from modelkeep.errors import MalformedError, UsageError
from modelkeep.guard import GuardProfile, StreamGuard
from modelkeep.guard.plan import Plan
from modelkeep.guard.sample import measure
from support.classifier import classifier
from support.guarded import MODEL, calibrated
from support.learned import learned
from support.pictures import pictures
from support.workshop import Workshop

Frame = NDArray[np.uint8]


def camera(count: int, seed: int) -> list[Frame]:
    """Returns frames [1, 24, 24, 3] of one view: light changes, and every frame has noise of its own."""
    random = np.random.default_rng(seed)
    view = pictures(1, seed=70)[0] * 200
    frames = (view * random.uniform(0.85, 1.1) + random.normal(0, 3, view.shape) for _ in range(count))
    return [np.rint(frame).clip(0, 255).astype(np.uint8) for frame in frames]


@cache
def profile() -> GuardProfile:
    samples: list[dict[str, Any]] = [{"x": frame} for frame in camera(1600, 71)]
    plan = Plan.make(samples[0], {})
    found = [measure(plan, sample, {}) for sample in samples]
    return calibrated(plan, found).finish(MODEL, alpha=0.01, delta=0.05)


def alarms(stream: StreamGuard, frames: list[Any]) -> list[tuple[int, str]]:
    """Returns when, counted from 1, and of which rule the alarms are."""
    return [
        (place, finding.rule)
        for place, frame in enumerate(frames, start=1)
        for finding in stream.check({"x": frame})
    ]


def blurred(frame: Frame) -> Frame:
    numbers = frame.astype(np.float64)
    mixed = sum(np.roll(numbers, move, axis) for move in (-1, 0, 1) for axis in (1, 2)) / 6
    return np.asarray(np.rint(mixed), np.uint8)


def test_a_clean_stream_gives_no_alarm() -> None:
    assert alarms(StreamGuard(profile()), camera(3000, 72)) == []


def test_a_frozen_frame_is_found_within_three() -> None:
    stream, live = StreamGuard(profile()), camera(20, 73)
    assert alarms(stream, live) == []
    assert alarms(stream, [live[-1]] * 3) == [(3, "frozen")]
    # Once for each time that it freezes.
    assert [each for each in alarms(stream, [live[-1]] * 3) if each[1] == "frozen"] == []


def test_a_loop_of_recorded_frames_is_frozen_too() -> None:
    stream, live = StreamGuard(profile()), camera(30, 74)
    alarms(stream, live)
    assert (3, "frozen") in alarms(stream, live)


def test_frames_that_hardly_differ_are_found_once_the_stream_is_known() -> None:
    stream = StreamGuard(profile())
    live = camera(300, 75)
    assert alarms(stream, live) == []
    nearly = [live[-1].copy() for _ in range(12)]
    for place, frame in enumerate(nearly):
        frame[0, 3 + place, 2, 1] ^= 1  # a recoded picture differs here and there
    assert any(rule == "frozen" for _, rule in alarms(stream, nearly))


@pytest.mark.parametrize(
    "fault",
    [
        blurred,
        lambda frame: np.asarray(frame[..., ::-1]),
        lambda frame: np.rint(frame * 0.6 + 80).astype(np.uint8),
        lambda frame: np.abs(np.random.default_rng(frame.sum()).normal(2, 2, frame.shape)).astype(np.uint8),
    ],
    ids=["defocus", "colours swapped", "fog", "lens cap"],
)
def test_a_change_that_lasts_is_an_alarm_within_sixty_frames(fault: Any) -> None:
    stream = StreamGuard(profile())
    alarms(stream, camera(50, 76))
    found = alarms(stream, [fault(frame) for frame in camera(60, 77)])
    assert found and found[0][1] == "change"


def test_a_change_too_small_for_single_frames_adds_up(caplog: pytest.LogCaptureFixture) -> None:
    guard, stream = modelkeep.Guard(profile()), StreamGuard(profile())
    drifted = [np.rint(frame + 3.0).clip(0, 255).astype(np.uint8) for frame in camera(300, 78)]
    assert sum(bool(guard.check({"x": frame})) for frame in drifted) < 0.3 * len(drifted)
    found = [each for frame in drifted for each in stream.check({"x": frame})]
    assert found and "mostly high" in found[0].detail
    assert found[0].stage == "stream" and found[0].action == "flag"


def test_a_share_that_was_always_none_is_called_high() -> None:
    stream = StreamGuard(profile())
    alarms(stream, camera(50, 76))
    found = [
        each for frame in camera(60, 77) for each in stream.check({"x": np.repeat(frame[:, ::2], 2, axis=1)})
    ]
    assert "share of rows that repeat the row above mostly high" in found[0].detail


def test_only_every_so_many_frames_count_for_changes() -> None:
    blurs = [blurred(frame) for frame in camera(120, 79)]
    often, seldom = (alarms(StreamGuard(profile(), every=every), blurs)[0][0] for every in (1, 5))
    assert seldom > 3 * often


def test_a_batch_is_as_many_frames() -> None:
    blurs = [blurred(frame) for frame in camera(60, 80)]
    assert StreamGuard(profile()).check({"x": np.concatenate(blurs)})


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    blurs = [blurred(frame) for frame in camera(60, 81)]
    when = alarms(StreamGuard(profile()), blurs)[0][0]
    first = StreamGuard(profile())
    assert alarms(first, blurs[: when - 3]) == []
    first.save(tmp_path / "stream")
    assert (tmp_path / "stream").stat().st_mode & 0o777 == 0o600
    second = StreamGuard(profile())
    second.restore(tmp_path / "stream")
    assert alarms(second, blurs[when - 3 :])[0][0] == 3
    first.close()
    assert StreamGuard(profile()).to_json() == first.to_json()


def test_states_of_others_and_broken_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    StreamGuard(profile()).save(path)
    with pytest.raises(UsageError, match="another profile"):
        StreamGuard(profile().with_actions(signal="flag")).restore(path)
    good = json.loads(path.read_text())
    changes: tuple[dict[str, Any], ...] = (
        {"version": 2},
        {"more": 1},
        {"frames": -1},
        {"change": {}},
        {"change": good["change"] | {"scores": "-0x1.0000000000000p+0"}},
        {"change": good["change"] | {"seen": []}},
    )
    for change in changes:
        path.write_text(json.dumps(good | change, sort_keys=True, separators=(",", ":")))
        with pytest.raises(MalformedError):
            StreamGuard(profile()).restore(path)


@pytest.mark.parametrize("inputs", [None, {}, {"x": None}, {"x": np.zeros((2, 2))}])
def test_what_cannot_be_read_is_left_to_the_guard(inputs: Any) -> None:
    assert StreamGuard(profile()).check(inputs) == ()


@pytest.mark.parametrize("settings", [{"every": 0}, {"apart": 1.0}, {"repeats": 0}, {"apart": float("nan")}])
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        StreamGuard(profile(), **settings)


def test_the_application_is_told_of_flags_without_scores(workshop: Workshop) -> None:
    model = classifier(workshop.folder / "net.onnx")
    profile = learned().with_actions(signal="flag")
    picture = pictures(1, seed=40)[0]
    with workshop.open(workshop.seal(model, guard=profile)) as session:
        clean, strange = {"x": picture}, {"x": picture * 255}
        assert session.run_flagged(clean).flags == ()
        flagged = session.run_flagged(strange)
        assert "signal" in flagged.flags
        assert all((flagged.outputs[name] == value).all() for name, value in session.run(strange).items())
        assert session.guard is not None
        session.guard.stream = StreamGuard(session.guard.profile)
        assert [session.run_flagged(clean).flags for _ in range(4)][-1] == ("stream",)
