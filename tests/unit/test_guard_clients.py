"""Sequences of requests: what a camera sends, what an attack sends, and how much is remembered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep import ClientGuard
from modelkeep.errors import UsageError
from support.pictures import Picture, pictures

Frame = NDArray[np.uint8]


def scene(height: int = 96, width: int = 320) -> NDArray[np.float64]:
    """A wide scene with a clipped sky and a black border, as a camera pans over it."""
    y, x = np.mgrid[0:height, 0:width] / 32
    shade = 128 + 60 * np.sin(3 * x + y) + 40 * np.sin(7 * y - 2 * x)
    shade[: height // 4] = 400
    shade[-8:] = -100
    return np.repeat(shade[..., None], 3, axis=2)


def camera(frames: int, step: int, noise: float = 2.0) -> Iterable[Frame]:
    generator = np.random.default_rng(5)
    whole = scene()
    for frame in range(frames):
        view = whole[:, frame * step : frame * step + 96]
        yield np.clip(np.rint(view + generator.normal(0, noise, view.shape)), 0, 255).astype(np.uint8)[None]


def square_attack(start: Picture, queries: int) -> Iterable[Picture]:
    """Stripes at first, then squares that become smaller: what Square sends, whatever it is told."""
    generator = np.random.default_rng(6)
    reach, side_of = 8 / 255, start.shape[1]
    yield start
    current = np.clip(start + generator.choice([-reach, reach], (1, 1, side_of, 3)), 0, 1).astype(np.float32)
    yield current
    for query in range(queries - 2):
        side = max(1, round(side_of * 0.5 * (1 - query / queries) ** 2))
        y, x = generator.integers(0, side_of - side + 1, 2)
        tried = current.copy()
        place = (slice(None), slice(y, y + side), slice(x, x + side))
        tried[place] = np.clip(start[place] + generator.choice([-reach, reach], 3), 0, 1)
        yield tried
        current = tried if generator.random() < 0.3 else current


def alarms(guard: ClientGuard, stream: Iterable[object]) -> list[int]:
    return [place for place, frame in enumerate(stream) if guard.check("a", {"x": frame})]


@pytest.mark.parametrize("step", [0, 1, 4])
def test_a_camera_that_stands_or_pans_is_no_alarm(step: int) -> None:
    assert alarms(ClientGuard(), camera(56, step)) == []


def test_the_same_request_again_is_no_alarm() -> None:
    assert alarms(ClientGuard(), [pictures(1, seed=1)[0]] * 60) == []


def test_different_pictures_are_no_alarm() -> None:
    assert alarms(ClientGuard(), pictures(200, seed=2)) == []


def test_vectors_and_what_is_no_array_count_for_the_quota_alone() -> None:
    guard = ClientGuard(quota=5)
    row = np.arange(30.0)
    strange: list[object] = [row, np.r_[row[:-1], 7], None, np.array([None] * 500), np.zeros((0, 9))]
    assert alarms(guard, strange) == []
    assert [finding.rule for finding in guard.check("a", {})] == ["quota"]


@pytest.mark.parametrize("seed", range(5))
def test_an_attack_by_squares_is_noticed_within_a_few_requests(seed: int) -> None:
    found = alarms(ClientGuard(), square_attack(pictures(1, seed=seed)[0], 60))
    assert found[0] <= 8
    assert len(found) > 40


def test_an_attack_of_one_client_is_no_alarm_of_another() -> None:
    guard = ClientGuard()
    for tried in square_attack(pictures(1, seed=3)[0], 20):
        guard.check("attacker", {"x": tried})
    assert guard.check("other", {"x": pictures(1, seed=3)[0]}) == ()


def test_a_quota_is_spent_and_comes_back() -> None:
    now = [0.0]
    guard = ClientGuard(quota=4, window=40, clock=lambda: now[0])
    assert [bool(guard.check("a", {})) for _ in range(6)] == [False] * 4 + [True] * 2
    now[0] = 20
    assert [bool(guard.check("a", {})) for _ in range(3)] == [False, False, True]
    assert guard.counters.counted().counts == {"client.checked": 9, "client.reject": 3}


def test_no_more_clients_and_requests_are_remembered_than_allowed() -> None:
    guard = ClientGuard(quota=1, clients=3, remembered=2, derived=1)
    start = pictures(1, seed=4)[0]
    for name in "abcd":
        assert guard.check(name, {"x": start}) == ()
    assert len(guard) == 3
    assert guard.check("a", {"x": start}) == ()  # forgotten, and so was its quota
    changed = start.copy()
    changed[:, :4] = 0.5
    for other in pictures(2, seed=5):
        guard.check("a", {"x": other})
    assert [finding.rule for finding in guard.check("a", {"x": changed})] == ["quota"]


def test_the_log_names_the_client_and_no_input(caplog: pytest.LogCaptureFixture) -> None:
    guard = ClientGuard(quota=1)
    guard.check("a\nforged line", {})
    guard.check("a\nforged line", {})
    assert "'a\\nforged line'" in caplog.text


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"quota": 0}, {"window": 0.0}, {"share": 1.5}, {"share": float("nan")}):
        with pytest.raises(UsageError):
            ClientGuard(**wrong)
