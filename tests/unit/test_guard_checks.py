"""What the guard lets pass: faults, clean pictures, and things that are no input at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from modelkeep.guard import Guard, judge, statistics
from modelkeep.guard.measurement import measure_outputs
from support.guarded import picture_profile
from support.pictures import Picture, pictures

Fault = Callable[[Picture], Picture]
_NOISE = np.random.default_rng(30)
_HELD_OUT = pictures(400, seed=31)


def set_channel(picture: Picture, value: float) -> Picture:
    picture = picture.copy()
    picture[..., 1] = value
    return picture


FAULTS: dict[str, Fault] = {
    "not-scaled": lambda picture: picture * 255,
    "byte-order": lambda picture: picture.byteswap(),
    "constant": lambda picture: np.full_like(picture, 0.5),
    "black": np.zeros_like,
    "noise": lambda picture: _NOISE.random(picture.shape).astype(np.float32),
    "dead-channel": lambda picture: set_channel(picture, 0),
    "stuck-channel": lambda picture: set_channel(picture, 0.5),
    "normalised": lambda picture: (picture - np.float32(0.45)) / np.float32(0.22),
    "dimmed": lambda picture: picture * np.float32(0.1),
    "lower-half-repeats-a-row": lambda picture: np.concatenate(
        [picture[:, :12], np.repeat(picture[:, 11:12], 12, axis=1)], axis=1
    ),
    "right-half-repeats-a-column": lambda picture: np.concatenate(
        [picture[:, :, :12], np.repeat(picture[:, :, 11:12], 12, axis=2)], axis=2
    ),
    "not-a-number": lambda picture: picture * np.nan,
    "patch": lambda picture: np.concatenate(
        [picture[:, :, :18], _NOISE.integers(0, 2, (1, 24, 6, 3)).astype(np.float32)], axis=2
    ),
}


@pytest.fixture
def guard() -> Iterator[Guard]:
    logging.getLogger("modelkeep.guard").setLevel(logging.CRITICAL)
    yield Guard(picture_profile())
    logging.getLogger("modelkeep.guard").setLevel(logging.NOTSET)


def rate(guard: Guard, fault: Fault) -> float:
    alarms = [bool(guard.check({"x": fault(picture)})) for picture in _HELD_OUT]
    return float(np.mean(alarms))


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_caught(guard: Guard, name: str) -> None:
    assert rate(guard, FAULTS[name]) >= 0.99


def test_held_out_clean_pictures_pass(guard: Guard) -> None:
    # 1 % of 400 is 4; more than 10 would happen once in 350 times even at that rate.
    assert rate(guard, lambda picture: picture) <= 10 / 400


@pytest.mark.usefixtures("compiled_statistics")
def test_compiled_code_and_numpy_come_to_the_same_verdicts(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus: list[Any] = [fault(picture) for fault in FAULTS.values() for picture in _HELD_OUT[:5]]
    corpus += [*_HELD_OUT[:100], *(np.rint(picture * 255).astype(np.uint8) for picture in _HELD_OUT[:5])]

    def verdicts() -> list[list[tuple[str, str]]]:
        fresh = Guard(guard.profile)
        return [[(each.rule, each.action) for each in fresh.check({"x": sample})] for sample in corpus]

    compiled = verdicts()
    for user in (judge, statistics):
        monkeypatch.setattr(user, "compiled", lambda: None)
    assert verdicts() == compiled


class _Hostile(Mapping[str, object]):
    def __getitem__(self, name: str) -> object:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


class _Device:
    """An array that lies on another device."""

    def __array__(self, *_arguments: object, **_options: object) -> Any:
        raise TypeError("copy it to the host first")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [[1.0]],
        np.float32(1),
        np.array(1.0),
        np.empty((0, 24, 24, 3), np.float32),
        np.empty((1, 24, 24, 0), np.float32),
        np.empty((1, 24, 24, 3), object),
        np.zeros((1, 24, 24, 3), np.complex64),
        np.zeros((1, 24, 24, 3), ">f4"),
        np.zeros((1, 24, 24, 3), "datetime64[s]"),
        np.zeros((1, 24, 24, 3), [("a", "f4")]),
        np.ma.masked_array(np.zeros((1, 24, 24, 3), np.float32)),
        np.zeros((24, 24, 3), np.float32),
        np.zeros((1, 24, 24, 4), np.float32),
        np.broadcast_to(np.float32(0), (2**40, 24, 24, 4)),
        _Device(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_read_is_an_alarm_and_no_crash(guard: Guard, value: object) -> None:
    found = guard.check({"x": value})
    assert [finding.rule for finding in found] == ["form"]


@pytest.mark.parametrize("inputs", [{}, None, 5, _Hostile(), {"y": 1}, {3: 4}])
def test_inputs_that_are_none_are_an_alarm(guard: Guard, inputs: Any) -> None:
    assert [finding.rule for finding in guard.check(inputs)] == ["form"]


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "int8", "uint8", "int64", "uint64", "bool", "float32"]
)
@pytest.mark.parametrize("fill", [0, 1, -1, np.inf, -np.inf, np.nan, 3e38, 1e308])
def test_extreme_values_of_every_type_are_measured(guard: Guard, dtype: str, fill: float) -> None:
    with np.errstate(all="ignore"):
        array = np.full((1, 24, 24, 3), fill, np.float64)
        array[0, ::2] *= -1
        array = np.nan_to_num(array).astype(dtype) if dtype[0] in "iub" else array.astype(dtype)
    found = guard.check({"x": array})
    assert found and all(finding.rule == "surprise" for finding in found)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[:, ::-1],
        lambda a: a[:, :, ::-1, ::-1],
        np.asfortranarray,
        lambda a: a[:, ::2, ::2],
    ],
)
def test_views_with_any_strides_give_what_their_copies_give(guard: Guard, view: Fault) -> None:
    seen = view(_HELD_OUT[0])
    assert guard.check({"x": seen}) == guard.check({"x": np.ascontiguousarray(seen)})


def test_the_strangest_sample_of_a_batch_counts(guard: Guard) -> None:
    batch = np.concatenate(_HELD_OUT[:5])
    batch[3] *= 255
    assert guard.check({"x": batch})


def test_findings_go_to_the_log_and_counters_keep_no_inputs(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(picture_profile())
    guard.check({"x": _HELD_OUT[0] * 255})
    assert "signal/surprise" in caplog.text
    counted = guard.counters.counted()
    assert counted.counts == {"signal.checked": 1, "signal.reject": 1}
    assert counted.closeness["signal.surprise.*"][-1] == 1


def test_a_stage_that_is_off_finds_nothing() -> None:
    guard = Guard(picture_profile().with_actions(signal="off"))
    assert guard.check({"x": None}) == ()


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_no_numbers_are_measured_without_a_warning(strange: float) -> None:
    embedding = np.ones((1, 100), np.float32)
    embedding[0, :2] = strange, 1
    outputs = {"y": np.ones((1, 4), np.float32), "h": embedding}
    measured = measure_outputs(outputs, "y", "logits", "h", 1024.0)
    assert measured.embedding is not None
    assert (np.abs(measured.embedding) == 2**20).all()
