"""Ultralytics finds in a picture what it finds with the plain export, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelkeep.errors import InputError, UsageError, WrongModelError
from support.integrations import printed, set_up
from support.needs import require_module
from support.pictures import pictures
from support.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def exported(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A detector as Ultralytics exports it, in the working directory."""
    require_module("ultralytics", "torch-tools")
    from ultralytics import YOLO

    monkeypatch.chdir(workshop.folder)
    set_up(workshop, monkeypatch)
    YOLO("yolov8n.yaml").export(format="onnx", imgsz=64)
    return workshop


def picture(brightest: int = 255) -> np.ndarray:
    return np.random.default_rng(0).integers(0, brightest, (64, 64, 3)).astype(np.uint8)


def found(path: str, **options: Any) -> Any:
    from ultralytics import YOLO

    (result,) = YOLO(path, task="detect").predict(picture(), imgsz=64, conf=1e-4, **options)
    return result


def test_a_sealed_export_finds_the_same(exported: Workshop) -> None:
    from PIL import Image

    exported.seal(exported.folder / "yolov8n.onnx", name="best.onnx.keep")
    plain = found("yolov8n.onnx")
    names: dict[str, Any] = {}
    Image.fromarray(picture()[..., ::-1]).save("street.png")
    exec(printed("Ultralytics").replace("street.jpg", "street.png"), names)
    sealed = found("best.onnx.keep")
    np.testing.assert_array_equal(sealed.boxes.data, plain.boxes.data)
    assert sealed.names == names["results"][0].names == plain.names


def test_what_breaks_the_contract_is_refused_with_an_error_of_ours(exported: Workshop) -> None:
    import modelkeep.ultralytics  # noqa: F401

    dark = {"images": {"minimum": 0, "maximum": 0.5}}
    exported.seal(exported.folder / "yolov8n.onnx", name="dark.onnx.keep", contract=dark)
    with pytest.raises(InputError, match="images: "):
        found("dark.onnx.keep")
    exported.seal(exported.folder / "yolov8n.onnx", name="dnn.onnx.keep")
    with pytest.raises(UsageError, match="OpenCV"):
        found("dnn.onnx.keep", dnn=True)
    exported.seal(exported.folder / "yolov8n.onnx", name="other.onnx.keep", model="acme/other")
    with pytest.raises(WrongModelError):
        found("other.onnx.keep")


def test_the_guard_is_asked(exported: Workshop) -> None:
    import modelkeep.ultralytics

    usual = [{"images": each.transpose(0, 3, 1, 2).copy()} for each in pictures(300, seed=1, size=64)]
    guard = modelkeep.learn(usual, model=exported.folder / "yolov8n.onnx", alpha=0.1, delta=0.1)
    exported.seal(exported.folder / "yolov8n.onnx", name="guarded.onnx.keep", guard=guard)
    with pytest.raises(InputError, match="unusual"):
        found("guarded.onnx.keep")
