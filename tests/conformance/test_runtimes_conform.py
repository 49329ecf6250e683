"""Our own adapters against the suite that other people's have to pass too."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelkeep.runtimes.executorch import ExecuTorchRuntime
from modelkeep.runtimes.litert import LiteRtRuntime
from modelkeep.runtimes.ncnn import NcnnRuntime
from modelkeep.runtimes.onnx import OnnxRuntime
from modelkeep.runtimes.openvino import OpenVinoRuntime
from modelkeep.runtimes.ort import OrtRuntime
from modelkeep.runtimes.torch import TorchRuntime
from modelkeep.testing.runtimes import RUNTIME_CHECKS, RuntimeCheck, RuntimeSubject
from support.ort_models import ort_model

RANDOM = np.random.default_rng(17)
WEIGHTS = [RANDOM.standard_normal(shape, np.float32) for shape in ((64, 48), (32, 64))]
X = RANDOM.standard_normal((3, 48), np.float32)
PARAM = """7767517
3 3
Input in 0 1 x 0={width}{more}
InnerProduct product 1 1 x h 0=64 1=0 2={size}
ReLU relu 1 1 h y
"""


def onnx_model() -> bytes:
    """y = relu(relu(x @ W0.T) @ W1.T)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["m0"]),
        helper.make_node("Relu", ["m0"], ["h"]),
        helper.make_node("MatMul", ["h", "w1"], ["m1"]),
        helper.make_node("Relu", ["m1"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 48])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 32])
    weights = [numpy_helper.from_array(each.T.copy(), f"w{index}") for index, each in enumerate(WEIGHTS)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return bytes(model.SerializeToString())


def onnx_subject(profile: str) -> RuntimeSubject:
    ort: Any = pytest.importorskip("onnxruntime")
    settings = ort.SessionOptions()
    if profile == "single-copy":
        settings.add_session_config_entry("session.disable_prepacking", "1")
    plain = ort.InferenceSession(onnx_model(), settings, providers=["CPUExecutionProvider"])
    outputs = {"y": plain.run(None, {"x": X})[0]}
    return RuntimeSubject(
        OnnxRuntime, "onnx", {"net.onnx": onnx_model()}, {"x": X}, outputs, lambda: {"profile": profile}
    )


def ort_subject() -> RuntimeSubject:
    ort: Any = pytest.importorskip("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        model = ort_model(onnx_model(), Path(folder))
    plain = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = {"y": plain.run(None, {"x": X})[0]}
    return RuntimeSubject(OrtRuntime, "ort", {"net.ort": model}, {"x": X}, outputs)


def litert_subject(*, signature: bool) -> RuntimeSubject:
    interpreter_module: Any = pytest.importorskip("ai_edge_litert.interpreter")
    from support.tflite_models import dense_model

    model = dense_model(WEIGHTS, signature=signature)
    plain = interpreter_module.Interpreter(model_content=model)
    plain.resize_tensor_input(plain.get_input_details()[0]["index"], X.shape)
    plain.allocate_tensors()
    plain.set_tensor(plain.get_input_details()[0]["index"], X)
    plain.invoke()
    y = plain.get_tensor(plain.get_output_details()[0]["index"])
    names = ("x", "y") if signature else ("h0", "h2")
    return RuntimeSubject(LiteRtRuntime, "tflite", {"net.tflite": model}, {names[0]: X}, {names[1]: y})


def openvino_subject(format: str) -> RuntimeSubject:
    openvino: Any = pytest.importorskip("openvino")
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.onnx")
        path.write_bytes(onnx_model())
        files = {"net.onnx": path.read_bytes()}
        if format == "openvino":
            openvino.save_model(core.read_model(str(path)), str(path.with_suffix(".xml")))
            path = path.with_suffix(".xml")
            files = {f"net{end}": path.with_suffix(end).read_bytes() for end in (".xml", ".bin")}
        outputs = {"y": core.compile_model(str(path), "CPU")([X])[0].copy()}
    return RuntimeSubject(OpenVinoRuntime, format, files, {"x": X}, outputs)


def ncnn_subject(shape: tuple[int, ...]) -> RuntimeSubject:
    ncnn: Any = pytest.importorskip("ncnn")
    more = f" 1={shape[-2]} 2={shape[-3]}" if len(shape) > 1 else ""
    param = PARAM.format(width=shape[-1], more=more, size=64 * int(np.prod(shape)))
    weights = RANDOM.standard_normal((64, int(np.prod(shape))), np.float32)
    files = {"net.param": param.encode(), "net.bin": bytes(4) + weights.tobytes()}
    x = RANDOM.standard_normal(shape, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        plain = ncnn.Net()
        assert plain.load_param(f"{folder}/net.param") == plain.load_model(f"{folder}/net.bin") == 0
    extractor = plain.create_extractor()
    extractor.input("x", ncnn.Mat(x).clone())
    y = np.array(extractor.extract("y")[1])
    assert np.allclose(y, np.maximum(weights @ x.ravel(), 0), atol=0.1)
    return RuntimeSubject(NcnnRuntime, "ncnn", files, {"x": x}, {"y": y})


def torch_module() -> Any:
    torch: Any = importlib.import_module("torch")

    nn = torch.nn
    with torch.device("meta"):
        layers = [nn.Linear(48, 64, bias=False), nn.ReLU(), nn.Linear(64, 32, bias=False), nn.ReLU()]
        return nn.Sequential(*layers)


def torch_subject(kind: str) -> RuntimeSubject:
    torch: Any = pytest.importorskip("torch")
    weights = {f"{2 * layer}.weight": torch.from_numpy(each.copy()) for layer, each in enumerate(WEIGHTS)}
    module = torch_module()
    module.load_state_dict(weights, assign=True)
    with torch.inference_mode():
        outputs = {"output": module(torch.from_numpy(X)).numpy()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.pt")
        if kind == "safetensors":
            path = path.with_suffix(".safetensors")
            pytest.importorskip("safetensors.torch").save_file(weights, path)
        elif kind == "script":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                torch.jit.save(torch.jit.script(module), path)
        else:
            torch.save(weights, path)
        content = path.read_bytes()
    model_format = "safetensors" if kind == "safetensors" else "torch"
    options = (lambda: {}) if kind == "script" else (lambda: {"module": torch_module()})
    return RuntimeSubject(TorchRuntime, model_format, {path.name: content}, {"input": X}, outputs, options)


def executorch_subject(*, lowered: bool = False, channels_last: bool = False) -> RuntimeSubject:
    torch: Any = pytest.importorskip("torch")
    pytest.importorskip("executorch")
    from support.executorch_programs import exported, plain_run

    module = torch_module().to_empty(device="cpu")
    for layer, each in enumerate(WEIGHTS):
        module[2 * layer].weight = torch.nn.Parameter(torch.from_numpy(each.copy()))
    x = torch.from_numpy(X)
    if channels_last:
        module = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        x = torch.randn(1, 3, 8, 9).to(memory_format=torch.channels_last)
    program = exported(module, x, lowered=lowered)
    inputs, outputs = {"input_0": x.numpy().copy(order="C")}, {"output_0": plain_run(program, x)}
    return RuntimeSubject(ExecuTorchRuntime, "executorch", {"net.pte": program}, inputs, outputs)


SUBJECTS: dict[str, Callable[[], RuntimeSubject]] = {
    "onnx fast": lambda: onnx_subject("fast"),
    "onnx single-copy": lambda: onnx_subject("single-copy"),
    "ort": ort_subject,
    "litert": lambda: litert_subject(signature=True),
    "litert without signature": lambda: litert_subject(signature=False),
    "openvino": lambda: openvino_subject("openvino"),
    "openvino with onnx": lambda: openvino_subject("onnx"),
    "ncnn": lambda: ncnn_subject((48,)),
    "ncnn with channels": lambda: ncnn_subject((3, 5, 7)),
    "executorch": executorch_subject,
    "executorch with channels last": lambda: executorch_subject(channels_last=True),
    "executorch with XNNPACK": lambda: executorch_subject(lowered=True),
    "torch safetensors": lambda: torch_subject("safetensors"),
    "torch script": lambda: torch_subject("script"),
    "torch checkpoint": lambda: torch_subject("checkpoint"),
}


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> RuntimeSubject:
    return SUBJECTS[request.param]()


# TorchScript is deprecated, but models of it are around.
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("check", RUNTIME_CHECKS, ids=lambda check: check.__name__)
def test_runtime_conforms(check: RuntimeCheck, subject: RuntimeSubject) -> None:
    check(subject)
