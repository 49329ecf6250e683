"""Models that people use, as PyPI has them: sealed and opened, they compute the same bits."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from support.needs import missing
from support.workshop import Workshop

CACHE = Path(__file__).parents[2] / "build" / "models"
Arrays = dict[str, np.ndarray[Any, Any]]


def audio() -> Arrays:
    times = np.arange(43844) / 22050
    sound = 0.5 * np.sin(2 * np.pi * 440 * times) + 0.25 * np.sin(2 * np.pi * 660 * times)
    return {"serving_default_input_2:0": sound.astype(np.float32).reshape(1, -1, 1)}


def text() -> Arrays:
    """The first 2048 bytes of this file; 256 stands for no byte."""
    content = np.frombuffer(Path(__file__).read_bytes(), np.uint8)[:2048].astype(np.int32)
    return {"bytes": np.pad(content, (0, 2048 - content.size), constant_values=256).reshape(1, -1)}


MODELS = {
    "basic-pitch==0.4.0": ("basic_pitch/saved_models/icassp_2022/nmp.onnx", audio),
    "magika==1.0.3": ("magika/models/standard_v3_3/model.onnx", text),
}


def from_pypi(requirement: str, path: str, target: Path) -> Path:
    """Returns the file `path` of a package's wheel; the wheel is downloaded once."""
    name, _, version = requirement.replace("-", "_").partition("==")
    if not list(CACHE.glob(f"{name}-{version}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--only-binary", ":all:", "--dest", str(CACHE), requirement]
        done = subprocess.run(command + options, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            missing(f"{requirement} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    with zipfile.ZipFile(next(CACHE.glob(f"{name}-{version}-*.whl"))) as wheel:
        target.write_bytes(wheel.read(path))
    return target


@pytest.mark.parametrize("requirement", MODELS)
def test_a_sealed_model_computes_the_same_bits(workshop: Workshop, requirement: str) -> None:
    path, inputs_of = MODELS[requirement]
    source, inputs = from_pypi(requirement, path, workshop.folder / "model.onnx"), inputs_of()
    plain = onnxruntime.InferenceSession(source)
    names = [output.name for output in plain.get_outputs()]
    expected = dict(zip(names, plain.run(names, inputs), strict=True))
    with workshop.open(workshop.seal(source)) as session:
        found = session.run(inputs)
    assert found.keys() == expected.keys()
    for name in names:
        assert found[name].dtype == expected[name].dtype
        assert found[name].shape == expected[name].shape
        assert found[name].tobytes() == expected[name].tobytes()
