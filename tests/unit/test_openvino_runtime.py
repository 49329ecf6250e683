"""ONNX models that OpenVINO takes another way than NumPy and files suggest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from modelkeep.contract import Contract
from support.workshop import Workshop

pytest.importorskip("openvino")
ml_dtypes: Any = pytest.importorskip("ml_dtypes")

X = np.array([[0.5, -2.0, 3.0]], np.float32)


def computed(workshop: Workshop, node: Any, inputs: dict[str, Any], output: int) -> tuple[Contract, Any]:
    """Seals a model of one node, and runs it on OpenVINO."""
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs.items()
    ]
    outputs = [helper.make_tensor_value_info("y", output, None)]
    graph = helper.make_graph([node], "g", values, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    path = Path(workshop.folder / "m.onnx")
    path.write_bytes(model.SerializeToString())
    with workshop.open(workshop.seal(path), runtime="openvino") as session:
        assert session.contract is not None
        return session.contract, session.run(inputs)["y"]


def test_elements_that_numpy_lacks_go_in_bit_for_bit(workshop: Workshop) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    _, found = computed(workshop, node, {"x": X.astype(ml_dtypes.bfloat16)}, TensorProto.FLOAT)
    np.testing.assert_array_equal(found, X)


def test_they_come_out_so_and_inputs_that_nothing_uses_may_be_given(workshop: Workshop) -> None:
    """OpenVINO takes `like` out of the model, because only its type counts."""
    inputs = {"x": X, "like": np.zeros(1, ml_dtypes.bfloat16)}
    contract, found = computed(
        workshop, helper.make_node("CastLike", ["x", "like"], ["y"]), inputs, TensorProto.BFLOAT16
    )
    assert {tensor.name for tensor in contract.inputs} == {"x", "like"}
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found.astype(np.float32), X)


def test_operators_that_it_knows_in_bytes_alone_are_run(workshop: Workshop) -> None:
    node = helper.make_node("NegativeLogLikelihoodLoss", ["x", "t"], ["y"], reduction="mean", ignore_index=1)
    scores = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    _, found = computed(workshop, node, {"x": scores, "t": np.array([[0, 1]])}, TensorProto.FLOAT)
    assert found == -scores[0, 0, 0]
