from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelkeep.errors import MalformedError, RuntimeMissingError, UsageError
from modelkeep.memory import Pages
from modelkeep.runtimes import LoadedModel, open_runtime
from modelkeep.runtimes.onnx import OnnxRunner, OnnxRuntime

ort: Any = pytest.importorskip("onnxruntime")

WEIGHTS = np.arange(64 * 32, dtype=np.float32).reshape(64, 32) / 1000
X = np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)


def proto(nodes: list[Any], initializers: list[Any], outputs: tuple[str, ...] = ("y",)) -> Any:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def single() -> Any:
    return proto([helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(WEIGHTS, "w")])


def external(name: str, location: str, offset: int = 0) -> Any:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[64, 32])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(WEIGHTS.nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def double() -> Any:
    """y = x @ w, z = x @ 2w; both in one external file, z's at an offset of one page."""
    nodes = [helper.make_node("MatMul", ["x", name], [name + "y"]) for name in "ab"]
    return proto(nodes, [external("a", "./data/w.bin"), external("b", "./data/w.bin", 8192)], ("ay", "by"))


DATA = WEIGHTS.tobytes() + (2 * WEIGHTS).tobytes()


class Held:
    """A model in wipeable memory, as a session holds it."""

    def __init__(self, entry: str, files: Mapping[str, bytes]) -> None:
        self.pages = {path: Pages.allocate(len(data)) for path, data in files.items()}
        for path, data in files.items():
            self.pages[path].view[:] = data
        self.model = LoadedModel("onnx", entry, {path: page.view for path, page in self.pages.items()})

    def close(self) -> None:
        for page in self.pages.values():
            page.close()


@pytest.fixture
def one_file() -> Iterator[Held]:
    held = Held("net.onnx", {"net.onnx": single().SerializeToString()})
    yield held
    held.close()


@pytest.fixture
def two_files() -> Iterator[Held]:
    held = Held("sub/net.onnx", {"sub/net.onnx": double().SerializeToString(), "sub/data/w.bin": DATA})
    yield held
    held.close()


def load(data: Any, **options: object) -> OnnxRunner:
    held = Held("net.onnx", {"net.onnx": data if isinstance(data, bytes) else data.SerializeToString()})
    return OnnxRuntime.load(held.model, options)


def test_a_model_of_one_file_is_computed_on_where_it_lies(one_file: Held) -> None:
    runner = OnnxRuntime.load(one_file.model, {"profile": "single-copy"})
    assert runner.borrowed == {"net.onnx"}
    np.testing.assert_allclose(runner.run({"x": X})["y"], X @ WEIGHTS, rtol=1e-5)
    assert runner.native.get_providers() == ["CPUExecutionProvider"]
    one_file.pages["net.onnx"].view[:] = bytes(one_file.pages["net.onnx"].size)
    assert not runner.run({"x": X})["y"].any()


def test_weights_of_constants_are_computed_on_where_they_lie() -> None:
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHTS, "inner"))
    model = proto([constant, helper.make_node("MatMul", ["x", "w"], ["y"])], [], ("y", "w"))
    held = Held("net.onnx", {"net.onnx": model.SerializeToString()})
    outputs = OnnxRuntime.load(held.model, {}).run({"x": X})
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, value in zip(("y", "w"), plain.run(["y", "w"], {"x": X}), strict=True):
        np.testing.assert_array_equal(outputs[name], value)
    again = Held("net.onnx", {"net.onnx": model.SerializeToString()})
    runner = OnnxRuntime.load(again.model, {"profile": "single-copy"})
    again.pages["net.onnx"].view[:] = bytes(again.pages["net.onnx"].size)
    assert not runner.run({"x": X})["y"].any()


def test_a_model_without_large_weights_outlives_its_plaintext() -> None:
    nodes = [helper.make_node("Add", ["x", "one"], ["y"])]
    model = proto(nodes, [numpy_helper.from_array(np.ones(1, np.float32), "one")])
    held = Held("net.onnx", {"net.onnx": model.SerializeToString()})
    runner = OnnxRuntime.load(held.model, {})
    assert runner.borrowed == frozenset()
    held.close()
    np.testing.assert_array_equal(runner.run({"x": X})["y"], X + 1)


def test_external_data_is_computed_on_where_it_lies(two_files: Held) -> None:
    runner = OnnxRuntime.load(two_files.model, {})
    assert runner.borrowed == {"sub/data/w.bin"}
    two_files.pages["sub/net.onnx"].close()
    outputs = runner.run({"x": X})
    np.testing.assert_allclose(outputs["ay"], X @ WEIGHTS, rtol=1e-5)
    np.testing.assert_allclose(outputs["by"], X @ WEIGHTS * 2, rtol=1e-5)


def test_external_data_is_not_copied_without_prepacking(two_files: Held) -> None:
    runner = OnnxRuntime.load(two_files.model, {"profile": "single-copy"})
    two_files.pages["sub/data/w.bin"].view[:] = bytes(len(DATA))
    assert not runner.run({"x": X})["ay"].any()


def test_a_planted_file_is_not_read(two_files: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(len(DATA)))
    outputs = OnnxRuntime.load(two_files.model, {}).run({"x": X})
    np.testing.assert_allclose(outputs["ay"], X @ WEIGHTS, rtol=1e-5)


def test_a_subgraph_cannot_fetch_a_planted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(bytes(WEIGHTS.nbytes))

    def branch(name: str) -> Any:
        output = helper.make_tensor_value_info("o" + name, TensorProto.FLOAT, None)
        node = helper.make_node("MatMul", ["x", name], ["o" + name])
        return helper.make_graph([node], name, [], [output], [external(name, "w.bin")])

    nodes = [
        helper.make_node("Identity", ["true"], ["condition"]),
        helper.make_node("If", ["condition"], ["y"], then_branch=branch("a"), else_branch=branch("b")),
    ]
    model = proto(nodes, [numpy_helper.from_array(np.array(True), "true")])
    # What is defended against: onnxruntime itself takes the planted zeros.
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert not session.run(None, {"x": X})[0].any()
    held = Held("net.onnx", {"net.onnx": model.SerializeToString(), "w.bin": WEIGHTS.tobytes()})
    with pytest.raises(UsageError, match="in another file"):
        OnnxRuntime.load(held.model, {})


def test_a_missing_external_file_is_malformed() -> None:
    with pytest.raises(MalformedError, match=r"'data/w\.bin', which is not among its files"):
        load(double())


@pytest.mark.parametrize("size", [0, 100, len(DATA) - 1])
def test_a_short_external_file_is_malformed(size: int) -> None:
    held = Held("net.onnx", {"net.onnx": double().SerializeToString(), "data/w.bin": DATA[:size]})
    with pytest.raises(MalformedError, match="out of bounds"):
        OnnxRuntime.load(held.model, {})


def test_session_options_serve_several_models(
    two_files: Held, one_file: Held, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"session_options": ort.SessionOptions()}
    first, second = (OnnxRuntime.load(held.model, options) for held in (one_file, two_files))
    first.close()
    one_file.close()
    np.testing.assert_allclose(second.run({"x": X})["by"], X @ WEIGHTS * 2, rtol=1e-5)
    assert capfd.readouterr().err == ""


def test_a_model_that_names_itself_as_external_data_is_malformed() -> None:
    model = proto([helper.make_node("MatMul", ["x", "w"], ["y"])], [external("w", "net.onnx")])
    with pytest.raises(MalformedError, match="names itself"):
        load(model)


def test_options_reach_onnxruntime(one_file: Held) -> None:
    settings = ort.SessionOptions()
    settings.logid = "mine"
    options = {"session_options": settings, "providers": [("CPUExecutionProvider", {})]}
    assert OnnxRuntime.load(one_file.model, options).native.get_session_options().logid == "mine"


@pytest.mark.parametrize(
    "options",
    [
        {"device": "cpu"},
        {"profile": "slow"},
        {"session_options": {}},
        {"providers": "CPUExecutionProvider"},
        {"providers": ["CPUExecutionProvider"], "provider_options": [{}, {}]},
        {"providers": ["CPUExecutionProvider"], "provider_options": [{"trt_engine_cache_enable": True}]},
        {"providers": [("CPUExecutionProvider", {"cache_dir": "/tmp"})]},
        {"providers": [("CPUExecutionProvider", {"trt_dump_ep_context_model": "1"})]},
        {"providers": [("CPUExecutionProvider", {"migraphx_save_compiled_model": "1"})]},
    ],
    ids=str,
)
def test_wrong_and_unsafe_options_are_usage_errors(one_file: Held, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        OnnxRuntime.load(one_file.model, options)


def test_caches_that_are_off_are_fine(one_file: Held) -> None:
    providers = [("CPUExecutionProvider", {"trt_engine_cache_enable": False})]
    OnnxRuntime.load(one_file.model, {"providers": providers}).close()


def test_a_provider_that_is_not_there_is_no_silent_fallback(
    one_file: Held, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeMissingError, match="'CUDAExecutionProvider'"):
        OnnxRuntime.load(one_file.model, {"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]})
    assert capsys.readouterr().out == ""


def test_writing_the_decrypted_model_is_refused(one_file: Held, tmp_path: Path) -> None:
    optimized, context = ort.SessionOptions(), ort.SessionOptions()
    optimized.optimized_model_filepath = str(tmp_path / "plain.onnx")
    context.add_session_config_entry("ep.context_enable", "1")
    for settings in (optimized, context):
        with pytest.raises(UsageError, match="would write the decrypted model"):
            OnnxRuntime.load(one_file.model, {"session_options": settings})
    assert not list(tmp_path.iterdir())


def test_session_options_that_write_profiles_or_hide_providers_are_refused(
    one_file: Held, tmp_path: Path
) -> None:
    profiling, hiding = ort.SessionOptions(), ort.SessionOptions()
    profiling.enable_profiling, profiling.profile_file_prefix = True, str(tmp_path / "profile")
    hiding.add_provider("CPUExecutionProvider", {})
    for settings in (profiling, hiding):
        with pytest.raises(UsageError, match="enable_profiling|brings providers") as caught:
            OnnxRuntime.load(one_file.model, {"session_options": settings})
        assert caught.value.hint is not None
    assert not list(tmp_path.iterdir())


def newer_ir() -> Any:
    model = single()
    model.ir_version = 99
    return model


def newer_opset() -> Any:
    model = single()
    model.opset_import[0].version = 999
    return model


def unknown_operator(domain: str) -> Any:
    model = proto([helper.make_node("FromTheFuture", ["x"], ["y"], domain=domain)], [])
    model.opset_import.append(helper.make_opsetid("imported", 1))
    return model


NEWER = [newer_ir(), newer_opset(), *(unknown_operator(domain) for domain in ("", "imported", "absent"))]


@pytest.mark.parametrize("model", NEWER, ids=["ir", "opset", "own", "imported", "absent"])
def test_a_model_beyond_this_onnxruntime_asks_for_an_update(model: Any) -> None:
    with pytest.raises(RuntimeMissingError) as caught:
        load(model)
    assert "onnxruntime" in str(caught.value.hint)
    assert "/onnxruntime_src" not in str(caught.value)


def cyclic() -> Any:
    return proto([helper.make_node("Add", ["x", "y"], ["y"])], [])


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x3a\x00", cyclic()])
def test_what_onnxruntime_cannot_read_is_malformed(data: Any) -> None:
    with pytest.raises(MalformedError):
        load(data)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"x": np.ones((2, 3), np.float32)},
        {"x": X.astype(np.float64)},
        {"x": X, "z": X},
        {"x": None},
        {"x": 1},
    ],
)
def test_what_onnxruntime_refuses_to_run_is_a_usage_error(one_file: Held, inputs: Any) -> None:
    runner = OnnxRuntime.load(one_file.model, {})
    with pytest.raises(UsageError, match="onnxruntime cannot run the model: ") as caught:
        runner.run(inputs)
    message = str(caught.value)
    assert "\n" not in message
    assert "[ONNXRuntimeError]" not in message
    assert "/onnxruntime_src" not in message


def test_a_closed_runner_does_nothing_any_more(two_files: Held) -> None:
    runner = OnnxRuntime.load(two_files.model, {})
    native = runner.native
    runner.close()
    runner.close()
    with pytest.raises(UsageError, match="closed"):
        runner.run({"x": X})
    with pytest.raises(UsageError, match="closed"):
        _ = runner.native
    with pytest.raises(AttributeError):
        native.run(None, {"x": X})


def test_plaintext_stays_out_of_reprs(one_file: Held) -> None:
    assert repr(one_file.model) == "LoadedModel(format='onnx', entry='net.onnx')"


def test_a_file_that_is_not_bytes_is_not_copied_into_bytes(two_files: Held) -> None:
    with pytest.raises(UsageError, match="not held as bytes"):
        two_files.model.as_bytes("sub/data/w.bin")


def test_no_file_has_to_be_bytes_or_have_a_path() -> None:
    assert not OnnxRuntime.wants_bytes("a.onnx", "a.onnx")
    assert not OnnxRuntime.wants_path("a.onnx", "a.onnx")


def test_the_runtime_is_found_by_format_and_by_name() -> None:
    assert open_runtime("onnx") is OnnxRuntime
    assert open_runtime("onnx", "onnx") is OnnxRuntime


@pytest.mark.parametrize(("format", "name"), [("cobol", None), ("onnx", "other"), ("gguf", "onnx")])
def test_an_unknown_runtime_is_a_usage_error(format: str, name: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        open_runtime(format, name)
    assert "onnx" in str(caught.value.hint)


def test_a_runtime_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissingError) as caught:
        open_runtime("onnx")
    assert caught.value.hint == "pip install 'modelkeep[onnx]'"


@pytest.mark.parametrize("value", ["not_installed:Runtime", "json:Runtime", "json:JSONDecoder", "json:loads"])
def test_a_broken_adapter_says_so_and_does_not_hide_ours(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "third_party-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[modelkeep.runtimes]\nbroken = {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeMissingError, match="runtime broken") as caught:
        open_runtime("onnx", "broken")
    assert value in str(caught.value.hint)
    assert open_runtime("onnx") is OnnxRuntime


def test_importing_the_runtime_leaves_no_telemetry_on_disk(tmp_path: Path) -> None:
    code = "from modelkeep.runtimes.onnx import OnnxRuntime; OnnxRuntime.require()"
    folders = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    environment = {"PATH": os.environ["PATH"], **folders}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
