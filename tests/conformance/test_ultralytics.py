"""Ultralytics finds in a picture what it finds with the plain export, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.integrations import set_up
from support.needs import missing
from support.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


def test_a_sealed_export_finds_the_same(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        from ultralytics import YOLO
    except ImportError:
        missing("ultralytics is not installed (pip install --group torch-tools)")
    monkeypatch.chdir(workshop.folder)
    set_up(workshop, monkeypatch)
    YOLO("yolov8n.yaml").export(format="onnx", imgsz=64)
    workshop.seal(workshop.folder / "yolov8n.onnx", name="best.onnx.keep")
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)

    def found(path: str) -> Any:
        (result,) = YOLO(path, task="detect").predict(picture, imgsz=64, conf=1e-4)
        return result

    plain = found("yolov8n.onnx")
    import modelkeep.ultralytics  # noqa: F401

    sealed = found("best.onnx.keep")
    np.testing.assert_array_equal(sealed.boxes.data, plain.boxes.data)
    assert sealed.names == plain.names
