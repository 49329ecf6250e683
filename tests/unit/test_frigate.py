"""Frigate gets from a sealed detector what it makes of the plain one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from modelkeep.errors import UsageError
from modelkeep.integrations.frigate.detections import Size, rows_of
from modelkeep.integrations.frigate.endpoint import endpoint_of
from modelkeep.integrations.frigate.server import FrigateServer
from support.command_line import CommandLine
from support.frigate import SIDE, Frigate, picture, serving, write_detector
from support.workshop import Workshop
from unit.test_docs import commands

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


@pytest.fixture
def detector(workshop: Workshop) -> Path:
    return write_detector(workshop.folder / "detector.onnx")


@pytest.fixture
def frigate(workshop: Workshop, detector: Path) -> Iterator[Frigate]:
    """Frigate, connected to the sealed detector."""
    address = f"ipc://{workshop.folder}/d.sock"
    with workshop.open(workshop.seal(detector)) as session, serving(session, address):
        client = Frigate(address)
        yield client
        client.close()


def test_detections_are_those_of_the_plain_model(frigate: Frigate, detector: Path) -> None:
    assert frigate.asks_for_model()
    plain = onnxruntime.InferenceSession(str(detector), providers=["CPUExecutionProvider"])
    for light in (0.0, 0.25, 0.5):
        outputs: Any = plain.run(None, {"images": picture(light)})
        expected = rows_of("yologeneric", outputs, Size(SIDE, SIDE))
        np.testing.assert_array_equal(frigate.detect(picture(light)), expected)
    assert expected[:, 1].all()  # there was something to be found


def test_what_is_refused_is_nothing_found_and_frigate_goes_on(frigate: Frigate) -> None:
    for wrong in (picture()[..., :60], picture() * np.nan, picture().astype(np.uint8)):
        assert not frigate.detect(np.ascontiguousarray(wrong)).any()
    assert not frigate.detect(picture(), "ssd").any()
    assert not frigate.detect(picture(), "rfdetr").any()
    assert frigate.detect(picture()).any()


def test_outputs_that_nobody_can_read_are_nothing_found(workshop: Workshop) -> None:
    address = f"ipc://{workshop.folder}/d.sock"
    bundle = workshop.seal(write_detector(workshop.folder / "d.onnx", classes=0))
    with workshop.open(bundle) as session, serving(session, address):
        client = Frigate(address)
        assert not client.detect(picture()).any()
        assert client.asks_for_model()
        client.close()


# What Frigate 0.18's own functions make of these boxes, with OpenCV 5.0; no step of it rounds.
BOXES = [
    [20, 20, 10, 8],
    [21, 20, 10, 8],
    [50, 40, 6, 6],
    [5, 4, 6, 6],
    [10, 55, 4, 4],
    [30, 10, 9, 9],
    [6, 50, 10, 9],
]
SCORES = [
    [0.5, 0.125],
    [0.875, 0.25],
    [0.125, 0.75],
    [0.6875, 0.25],
    [0.25, 0.3125],
    [0.40625, 0.4375],
    [0, 0.5],
]
FOUND = [
    [0, 0.875, 0.25, 0.25, 0.375, 0.40625],
    [1, 0.75, 0.578125, 0.734375, 0.671875, 0.828125],
    [0, 0.6875, 0.015625, 0.03125, 0.109375, 0.125],
    [1, 0.5, 0.7109375, 0.015625, 0.8515625, 0.171875],
    [1, 0.4375, 0.0859375, 0.3984375, 0.2265625, 0.5390625],
]


YOLOX = [[1, 0.875, 0.5, -0.125, 1, 0.375], [0, 0.75, 0.1875, 0.5, 0.4375, 0.75]]


def found(model_type: str, *outputs: Any, side: int = 64) -> list[list[float]]:
    rows = rows_of(model_type, [np.array(output, np.float32) for output in outputs], Size(side, side))
    return [row for row in rows.tolist() if any(row)]


def corners() -> np.ndarray:
    boxes = np.array(BOXES)
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def test_outputs_are_read_as_frigate_reads_them() -> None:
    assert found("yologeneric", [np.concatenate([BOXES, SCORES], axis=1)]) == FOUND
    assert found("yologeneric", [np.concatenate([BOXES, SCORES], axis=1).repeat(2, axis=0).T]) == FOUND
    assert found("dfine", [np.argmax(SCORES, axis=1)], [corners()], [np.max(SCORES, axis=1)]) == FOUND
    cells = np.zeros((21, 7))
    cells[6], cells[18] = [0.5, 0.25, 0, 0, 1, 0.75, 0.5], [0.25, 0.5, 0, 0, 0.875, 0.25, 1]
    assert found("yolox", [cells], side=32) == YOLOX


def test_outputs_that_are_suppressed_within_the_model_are_taken_as_they_are() -> None:
    kept = [
        [0, 8, 16, 24, 32, 0.5, 2],
        [0, 8, 16, 24, 32, 0.25, 1],
        [0, 0, 0, 0, 0, 0, -1],
        [0, 1, 1, 1, 1, 1, 1],
    ]
    assert found("yolonas", kept) == [[2, 0.5, 0.25, 0.125, 0.5, 0.375], [1, 0.25, 0.25, 0.125, 0.5, 0.375]]


def test_scores_before_softmax_are_made_shares() -> None:
    raw = [[[0, 0, 20], [0, 0, 0], [0, 20, 0]]]
    boxes = [[[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1], [0.1, 0.8, 0.1, 0.1]]]
    np.testing.assert_allclose(
        found("rfdetr", boxes, raw),
        [[1, 1, 0.25, 0.25, 0.75, 0.75], [0, 1, 0.75, 0.05, 0.85, 0.15]],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("model_type", "outputs"), [("ssd", [[0]]), ("yolox", [[[0]]]), ("rfdetr", [[[0]]]), ("yologeneric", [0])]
)
def test_outputs_of_another_form_are_refused(model_type: str, outputs: list[Any]) -> None:
    with pytest.raises(UsageError):
        found(model_type, *outputs)


def test_a_model_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    model = SimpleNamespace(contract=None)
    with pytest.raises(UsageError, match="takes something else"):
        FrigateServer(model, endpoint_of(f"ipc://{tmp_path}/d.sock"))


def test_the_command_answers_until_it_is_told_to_end(shop: CommandLine) -> None:
    write_detector(shop.folder / "detector.onnx")
    shop.ok(
        "modelkeep seal detector.onnx --model-id acme/detector -r pi-17.pub -s publisher.pem -o model.keep -f"
    )
    line = [*next(each for each in commands(PAGE) if " serve " in each).split()[1:], "--json"]
    settings = {**os.environ, "XDG_RUNTIME_DIR": str(shop.folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "modelkeep", *line], env=settings, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        client = Frigate(said["endpoint"])
        assert client.asks_for_model()
        assert client.detect(picture()).any()
        client.close()
        second = shop(*line, "--endpoint", said["endpoint"])
        assert (second.code, "another server answers there" in second.err) == (6, True)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert not Path(said["endpoint"].removeprefix("ipc://")).exists()
