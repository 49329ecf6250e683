"""A small model of pictures, with scores of classes and an embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(path: Path, *, takes_bytes: bool = False) -> Path:
    """Writes a model of pictures [n, 24, 24, 3] with logits [n, 4] and embedding [n, 8].

    Args:
        path: where to.
        takes_bytes: whether pictures are of uint8 from 0 to 255, and not of float32 from 0 to 1.
    """
    generator = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(generator.normal(size=(1728, 8)).astype(np.float32) / 20, "w"),
        numpy_helper.from_array(generator.normal(size=(8, 4)).astype(np.float32), "v"),
        numpy_helper.from_array(np.array(255, np.float32), "levels"),
    ]
    shares = [
        helper.make_node("Cast", ["x"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "levels"], ["shares"]),
    ]
    nodes = [
        *(shares if takes_bytes else []),
        helper.make_node("Flatten", ["shares" if takes_bytes else "x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["logits"]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "classifier",
        [tensor("x", TensorProto.UINT8 if takes_bytes else TensorProto.FLOAT, ["n", 24, 24, 3])],
        [tensor("logits", TensorProto.FLOAT, ["n", 4]), tensor("h", TensorProto.FLOAT, ["n", 8])],
        weights if takes_bytes else weights[:2],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
