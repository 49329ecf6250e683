"""Feature squeezing: coarser inputs, and a model that should not mind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelkeep import canonical
from modelkeep.cli import main
from modelkeep.errors import InputError, MalformedError, UsageError
from modelkeep.guard import Guard, GuardProfile
from modelkeep.guard.layout import Layout
from modelkeep.guard.measurement import measure_squeezed
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile_json import parse_profile
from modelkeep.guard.sample import measure
from modelkeep.guard.squeezing import SQUEEZERS, squeezed
from support.classifier import classifier
from support.learned import learned
from support.pictures import pictures
from support.workshop import Workshop

Array = NDArray[Any]
_RANDOM = np.random.default_rng(60)


def squeeze(array: Array, axes: str, squeezer: str, ends: tuple[float, float] = (0, 1)) -> Array:
    channels = array.shape[axes.index("C")] if "C" in axes else 1
    return squeezed({"x": array}, [Layout("x", axes, channels, *ends)], squeezer)["x"]


def squeezing() -> GuardProfile:
    return learned(squeezers=("median", "depth-5"))


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "uint8", "int8", "bool"])
@pytest.mark.parametrize(
    ("axes", "shape", "places"),
    [
        ("HW", (5, 4), (0, 1)),
        ("NHWC", (2, 6, 1, 3), (1, 2)),
        ("NCHW", (2, 3, 1, 5), (2, 3)),
        ("CHW", (1, 9, 8), (1, 2)),
    ],
)
def test_the_median_of_an_image_is_that_of_nine(
    kind: str, axes: str, shape: tuple[int, ...], places: tuple[int, int]
) -> None:
    array = _RANDOM.integers(0, 2 if kind == "bool" else 100, shape).astype(kind)
    padding = [(1, 1) if place in places else (0, 0) for place in range(array.ndim)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(array, padding, "edge"), (3, 3), places)
    found = squeeze(array, axes, "median")
    assert found.dtype == array.dtype
    assert np.array_equal(found, np.median(windows.astype(float), axis=(-1, -2)).astype(kind))


@pytest.mark.parametrize(("axes", "shape", "place"), [("NTC", (2, 7, 3), 1), ("CT", (3, 1), 1)])
def test_the_median_of_a_series_is_that_of_three_in_time(
    axes: str, shape: tuple[int, ...], place: int
) -> None:
    array = _RANDOM.normal(size=shape)
    padding = [(1, 1) if axis == place else (0, 0) for axis in range(array.ndim)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(array, padding, "edge"), 3, place)
    assert np.array_equal(squeeze(array, axes, "median"), np.median(windows, axis=-1))


def test_fewer_levels_lie_evenly_over_the_range_and_keep_its_ends() -> None:
    array = np.linspace(-1, 1, 10_001, dtype=np.float32).reshape(1, -1)
    levels = np.unique(squeeze(array, "HW", "depth-4", (-1, 1)))
    assert np.allclose(levels, np.linspace(-1, 1, 16))
    assert np.abs(squeeze(array, "HW", "depth-4", (-1, 1)) - array).max() <= 1 / 15 + 1e-6


@pytest.mark.parametrize(("kind", "ends"), [("uint8", (0, 255)), ("int8", (-128, 127))])
def test_levels_of_integers_are_integers(kind: str, ends: tuple[int, int]) -> None:
    array = np.arange(ends[0], ends[1] + 1).astype(kind).reshape(16, 16)
    found = squeeze(array, "HW", "depth-5", ends)
    assert found.dtype == kind
    assert len(np.unique(found)) == 32
    assert np.abs(found.astype(int) - array.astype(int)).max() <= 5


@pytest.mark.parametrize("squeezer", SQUEEZERS)
@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, 3e38])
def test_strange_values_are_squeezed_without_a_warning(squeezer: str, fill: float) -> None:
    array = np.full((1, 6, 6, 3), fill, np.float32)
    assert squeeze(array, "NHWC", squeezer).shape == array.shape


def test_inputs_stay_as_they_are_and_vectors_are_passed_on() -> None:
    image, vector = _RANDOM.random((1, 4, 4, 1)), _RANDOM.random(3)
    layouts = [Layout("x", "NHWC", 1, 0, 1), Layout("v", "F", 3, 0, 1)]
    image.setflags(write=False)
    found = squeezed({"x": image, "v": vector, "id": np.array(["a"])}, layouts, "median")
    assert found["v"] is vector
    assert found.keys() == {"x", "v", "id"}
    assert not np.array_equal(found["x"], image)


@pytest.mark.parametrize(
    ("axes", "shape", "places"),
    [("NHWC", (2, 5, 4, 3), (1, 2)), ("NTC", (2, 7, 3), (1,)), ("HW", (1, 1), (0, 1))],
)
def test_the_mean_is_that_of_the_neighbours(
    axes: str, shape: tuple[int, ...], places: tuple[int, ...]
) -> None:
    array = _RANDOM.normal(size=shape).astype(np.float32)
    padding = [(1, 1) if place in places else (0, 0) for place in range(array.ndim)]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(array, padding, "edge"), (3,) * len(places), places
    )
    expected = windows.mean(axis=tuple(range(-len(places), 0)))
    assert np.allclose(squeeze(array, axes, "mean"), expected, atol=1e-6)


def test_the_score_is_the_lead_that_is_lost() -> None:
    before = {"y": np.array([[5, 1, 2], [0, 3, 1], [1, 1, 0]], np.float32)}
    after = {"y": np.array([[4, 9, 0], [0, 3, 1], [1, 0, 0]], np.float32)}
    assert np.allclose(measure_squeezed(before, after, "y", "logits"), [3 + 5, 0, -1])
    assert np.isinf(measure_squeezed(before, {"y": after["y"][:1]}, "y", "logits")).all()
    shares = {name: np.array([[p, 1 - p]], np.float32) for name, p in (("a", 0.9), ("b", 0.6))}
    lost = measure_squeezed({"y": shares["a"]}, {"y": shares["b"]}, "y", "probabilities")
    assert np.allclose(lost, np.log(9) - np.log(1.5), atol=1e-5)


def test_only_what_can_be_squeezed_is_planned() -> None:
    image, scores = {"x": np.ones((1, 4, 4, 3), np.float32)}, {"y": np.ones((1, 5), np.float32)}
    assert Plan.make(image, scores, squeezers=["median", "median"]).squeezers == ("median",)
    with pytest.raises(UsageError, match="no squeezer 'blur'"):
        Plan.make(image, scores, squeezers=["blur"])
    with pytest.raises(UsageError, match="gives none"):
        Plan.make(image, {}, squeezers=["median"])
    with pytest.raises(UsageError, match="only images and series"):
        Plan.make({"x": np.ones((1, 9), np.float32)}, scores, squeezers=["median"])
    with pytest.raises(ValueError, match="needs the model"):
        measure(Plan.make(image, scores, squeezers=["median"]), image, scores)


def test_a_sealed_model_asks_itself_again(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    profile = squeezing().with_actions(signal="off", model="off", squeeze="reject")
    assert [stage.name for stage in profile.stages] == ["signal", "model", "squeeze"]
    bundle = workshop.seal(classifier(workshop.folder / "net.onnx"), guard=profile)
    noise = np.random.default_rng(61).random((1, 24, 24, 3)).astype(np.float32)
    with workshop.open(bundle) as session:
        session.run({"x": pictures(1, seed=42)[0]})
        with pytest.raises(InputError) as refusal:
            session.run({"x": noise})
    assert "median" not in f"{refusal.value} {refusal.value.findings}"
    assert "squeeze/" in caplog.text


def test_the_model_runs_once_more_for_each_squeezer(workshop: Workshop) -> None:
    guard = Guard(squeezing())
    logging.getLogger("modelkeep.guard").setLevel(logging.CRITICAL)
    asked: list[Mapping[str, Array]] = []

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        asked.append(inputs)
        return {"logits": np.zeros((1, 4), np.float32)}

    picture, sure = pictures(1, seed=41)[0], {"logits": np.array([[9, 0, 0, 0]], np.float32)}
    assert {finding.rule for finding in guard.check_squeezed({"x": picture}, sure, run)} == {
        "median",
        "depth-5",
    }
    assert len(asked) == 2
    assert guard.check_squeezed({"x": picture}, {"logits": np.zeros((1, 4), np.float32)}, run) == ()
    assert [each.rule for each in guard.check_squeezed({"x": None}, sure, run)] == ["form"]
    assert [each.rule for each in guard.check_squeezed({"x": picture}, {}, run)] == ["form"]
    assert len(asked) == 4
    assert guard.check({"x": picture}, sure, run)[-1].stage == "squeeze"
    assert guard.readings({"x": picture}, sure, run)[-1].stage == "squeeze"
    assert {reading.stage for reading in guard.readings({"x": picture}, sure)} == {"signal", "model"}
    logging.getLogger("modelkeep.guard").setLevel(logging.NOTSET)


def test_without_the_stage_the_model_is_not_asked_again(workshop: Workshop) -> None:
    guard = Guard(learned())

    def run(_inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        raise AssertionError

    assert guard.check_squeezed({"x": pictures(1, seed=41)[0]}, {}, run) == ()


def test_profiles_with_squeezers_are_read_strictly(workshop: Workshop) -> None:
    profile = squeezing()
    assert parse_profile(profile.to_bytes()).to_bytes() == profile.to_bytes()
    for change in ({"rule": "blur"}, {"rule": "confidence"}, {"of": "x"}):
        value = profile.to_json()
        value["stages"][2]["thresholds"][0].update(change)
        with pytest.raises(MalformedError):
            parse_profile(canonical.encode(value))
    without_outputs = profile.to_json()
    del without_outputs["outputs"], without_outputs["stages"][1]
    with pytest.raises(MalformedError):
        parse_profile(canonical.encode(without_outputs))


def test_learning_to_squeeze_from_the_command_line(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workshop.folder
    model = classifier(folder / "net.onnx")
    np.savez(folder / "many.npz", x=np.concatenate(pictures(300, seed=40)))
    learning = ["learn", str(folder / "many.npz"), "--stacked", "--model", str(model)]
    rates = ["--alpha", "0.1", "--delta", "0.1"]
    assert main([*learning, *rates, "--squeeze", "median", "-o", str(folder / "guard.json")]) == 0
    assert [stage.name for stage in GuardProfile.load(folder / "guard.json").stages][-1] == "squeeze"
    assert main([*learning, *rates, "--squeeze", "blur", "-o", str(folder / "other.json")]) == 2
    assert "no squeezer 'blur'" in capsys.readouterr().err
