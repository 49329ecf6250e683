"""What files in ONNX Runtime's own format say of their inputs: the same as the ONNX model they came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelkeep.contract import Contract
from modelkeep.errors import MalformedError
from modelkeep.formats import onnx_graph, ort
from support.ort_models import ort_model

FLOAT = TensorProto.FLOAT


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any] | None = None) -> Any:
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def tensor(name: str, element: int = FLOAT, shape: Any = (1,)) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


WORDS = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, [1]))
MODELS = {
    "free and fixed": model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [tensor("b", FLOAT, ["n", 1, 3]), tensor("a", FLOAT, [1, 2, -1])],
        [tensor("y", FLOAT, None)],
    ),
    "text": model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", TensorProto.STRING, [])],
        [tensor("y", TensorProto.STRING, [])],
    ),
    "default": model(
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        [tensor("x"), tensor("scale")],
        [tensor("y")],
        [numpy_helper.from_array(np.ones(1, np.float32), "scale")],
    ),
    "sequence": model(
        [helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)],
        [helper.make_tensor_sequence_value_info("x", FLOAT, None)],
        [tensor("y", FLOAT, None)],
    ),
    "map": model(
        [helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a"])],
        [helper.make_value_info("x", WORDS)],
        [tensor("y", FLOAT, None)],
    ),
}


def both(name: str, folder: Path) -> tuple[Contract, Contract]:
    data = MODELS[name].SerializeToString()
    return onnx_graph.read_contract(memoryview(data)), ort.read_contract(memoryview(ort_model(data, folder)))


@pytest.mark.parametrize("name", MODELS)
def test_the_runtime_writes_what_the_model_said(name: str, tmp_path: Path) -> None:
    expected, found = both(name, tmp_path)
    assert found == expected


def test_cut_anywhere_it_is_read_or_malformed(tmp_path: Path) -> None:
    data = ort_model(MODELS["map"].SerializeToString(), tmp_path)
    for end in range(0, len(data), 3):
        try:
            ort.read_contract(memoryview(data)[:end])
        except MalformedError:
            continue


@pytest.mark.parametrize("data", [b"", b"\x08\0\0\0ORTM", b"\0\0\0\0TFL3"])
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        ort.read_contract(memoryview(data))
