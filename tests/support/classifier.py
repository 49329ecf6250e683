"""A small model of pictures, with scores of classes and an embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(path: Path) -> Path:
    """Writes a model of pictures [n, 24, 24, 3] with logits [n, 4] and embedding [n, 8]."""
    generator = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(generator.normal(size=(1728, 8)).astype(np.float32) / 20, "w"),
        numpy_helper.from_array(generator.normal(size=(8, 4)).astype(np.float32), "v"),
    ]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["logits"]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "classifier",
        [tensor("x", TensorProto.FLOAT, ["n", 24, 24, 3])],
        [tensor("logits", TensorProto.FLOAT, ["n", 4]), tensor("h", TensorProto.FLOAT, ["n", 8])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
