"""Runtimes that cannot run a model say why, and a sound model is not called damaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from modelkeep.errors import KeepError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.isolation import ProcessIsolation
from modelkeep.runtimes.messages import first_line, lacks_memory
from support.ort_models import ort_model
from support.tflite_models import built, dense_model, dense_schema
from support.workshop import Workshop, scale_model


def opened(workshop: Workshop, name: str, content: bytes, **options: Any) -> KeepError:
    path = workshop.folder / name
    path.write_bytes(content)
    with pytest.raises(KeepError) as caught:
        workshop.open(workshop.seal(path), **options)
    return caught.value


def onnx_model(node: Any, output: Any, *domains: Any, element: int = TensorProto.FLOAT) -> bytes:
    x = helper.make_tensor_value_info("x", element, [1, 2])
    opsets = [helper.make_opsetid("", 17), *domains]
    graph = helper.make_graph([node], "g", [x], [output])
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return data


def test_openvino_names_the_operation_that_it_lacks(workshop: Workshop) -> None:
    node = helper.make_node("Frob", ["x"], ["y"], domain="acme")
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    content = onnx_model(node, y, helper.make_opsetid("acme", 1))
    error = opened(workshop, "m.onnx", content, runtime="openvino")
    assert isinstance(error, RuntimeMissingError)
    assert "acme.Frob" in str(error)
    assert "another runtime" in str(error.hint)


def test_litert_names_the_operation_that_it_lacks(workshop: Workshop) -> None:
    model = dense_schema([np.ones((3, 4), np.float32)])
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = 32
    code.customCode = "Frob"
    error = opened(workshop, "m.tflite", built(model))
    assert isinstance(error, RuntimeMissingError)
    assert "custom op: Frob" in str(error)


def test_a_runtime_that_does_not_load_the_format_is_named_once(workshop: Workshop) -> None:
    error = opened(workshop, "m.onnx", scale_model(1.0, 2), runtime="litert")
    assert isinstance(error, UsageError)
    assert str(error) == "litert cannot load models of format 'onnx'"


@pytest.mark.parametrize("isolation", ["in-process", "process"])
def test_what_onnx_runtime_has_saved_is_opened(workshop: Workshop, isolation: str) -> None:
    path = workshop.folder / "m"
    path.write_bytes(ort_model(scale_model(3.0, 2), workshop.folder))
    with workshop.open(workshop.seal(path), isolation=isolation) as session:
        assert session.run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[3, 3]]


def test_a_model_that_memory_does_not_suffice_for_is_not_called_damaged(workshop: Workshop) -> None:
    content = dense_model([np.ones((3000, 3000), np.float32)])
    error = opened(workshop, "m.tflite", content, isolation=ProcessIsolation(memory_limit=45 * 2**20))
    assert isinstance(error, UnavailableError)
    assert "free some memory" in str(error.hint)


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        ("Exception during initialization: std::bad_alloc", True),
        ("Failed to allocate memory for requested buffer of size 10", True),
        ("CUDA out of memory. Tried to allocate 2 GiB", True),
        ("", False),
        ("Load model failed: Protobuf parsing failed.", False),
    ],
)
def test_lack_of_memory_is_known_by_what_runtimes_say(words: str, lacking: bool) -> None:
    assert lacks_memory(RuntimeError(words)) is lacking
    assert first_line(RuntimeError(words)) == (words or "RuntimeError")
