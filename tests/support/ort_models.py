"""Models in ONNX Runtime's own format, written by the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime


def ort_model(onnx_model: bytes, folder: Path) -> bytes:
    """Returns the model as ONNX Runtime saves it; `folder` holds it meanwhile."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    path = folder / "saved.ort"
    settings.optimized_model_filepath = str(path)
    settings.add_session_config_entry("session.save_model_format", "ORT")
    session: Any = onnxruntime.InferenceSession(onnx_model, settings, providers=["CPUExecutionProvider"])
    del session
    data = path.read_bytes()
    path.unlink()
    return data
