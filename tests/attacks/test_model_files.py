"""Models that reach for files: the working directory, the machine's memory, places outside a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelkeep import canonical
from modelkeep.errors import MalformedError, RuntimeMissingError, TamperedError, UsageError
from modelkeep.extraction import extract
from modelkeep.formats import flatbuffers, onnx_graph, ort
from modelkeep.formats.executorch import read_methods
from modelkeep.inner_manifest import InnerManifest, ModelFile
from modelkeep.runtimes.onnx import OnnxRuntime
from modelkeep.runtimes.registry import LoadedModel
from support.attacker import STREAM_HEADER, Forgery, StreamKey, stolen_data_key
from support.executorch_programs import method, program, tensor, written
from support.workshop import Workshop

ONES = np.ones((1, 4), np.float32)


def _weight(location: str, *, offset: int = 0) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    for key, value in (("location", location), ("offset", str(offset)), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def _weight_inside() -> TensorProto:
    return helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0] * 4)


def _model(*weights: TensorProto) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        list(weights),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _folder(workshop: Workshop, weight: float) -> Path:
    folder = workshop.folder / "model"
    folder.mkdir()
    (folder / "net.onnx").write_bytes(_model(_weight("w.bin")))
    (folder / "w.bin").write_bytes(np.full(4, weight, np.float32).tobytes())
    return folder


def test_weights_in_the_working_directory_are_not_used(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = workshop.seal(_folder(workshop, 2.0))
    (tmp_path / "w.bin").write_bytes(np.full(4, 666.0, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    with workshop.open(bundle) as session:
        assert session.run({"x": ONES})["y"].tolist() == [[2.0] * 4]


def _load(entry: bytes, **others: bytes) -> object:
    files = {"net.onnx": entry, **others}
    views = {path: memoryview(bytearray(content)) for path, content in files.items()}
    return OnnxRuntime.load(LoadedModel("onnx", "net.onnx", views, {"net.onnx": entry}), {})


def test_weights_that_the_bundle_lacks_are_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(np.full(4, 666.0, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MalformedError, match="not among its files"):
        _load(_model(_weight("w.bin")))


def test_a_location_hidden_behind_an_oversized_enumeration_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(np.full(4, 666.0, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    external, oversized = b"\x70\x01", b"\x70\x81\x80\x80\x80\x10"  # field 14 as 1, and as 2^32 + 1
    tensor = _weight("w.bin").SerializeToString().replace(external, oversized)
    assert TensorProto.FromString(tensor).data_location == TensorProto.EXTERNAL
    with pytest.raises(MalformedError, match="4294967297 is not a place"):
        _load(_with_tensor(tensor))


def _with_tensor(tensor: bytes) -> bytes:
    graph = onnx.load_from_string(_model()).graph.SerializeToString() + _field(5, tensor)
    rest = onnx.load_from_string(_model())
    rest.ClearField("graph")
    return bytes(rest.SerializeToString() + _field(7, graph))


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 2**14
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "a\\..\\w.bin", "w\0.bin", ""]
)
def test_weights_outside_the_model_are_refused(location: str) -> None:
    with pytest.raises(MalformedError, match="leaves the model's folder"):
        _load(_model(_weight(location)))


def test_weights_at_an_address_in_memory_are_refused() -> None:
    secret = np.full(4, 42.0, np.float32)
    entry = _model(_weight("*/_ORT_MEM_ADDR_/*", offset=secret.ctypes.data))
    with pytest.raises(MalformedError, match="not a file"):
        _load(entry, **{"*/_ORT_MEM_ADDR_/*": bytes(16)})


def test_a_second_main_graph_is_refused() -> None:
    with pytest.raises(MalformedError, match="more than once"):
        onnx_graph.external_files(memoryview(_model() + _model(_weight("w.bin"))))


def test_weights_of_a_node_in_another_file_are_refused() -> None:
    constant = helper.make_node("Constant", [], ["w"], value=_weight("w.bin"))
    model = onnx.load_from_string(_model())
    model.graph.node.insert(0, constant)
    with pytest.raises(UsageError, match="node, subgraph or function"):
        _load(model.SerializeToString())


def test_names_that_make_error_messages_slow_to_read_are_cut() -> None:
    model = onnx.load_from_string(_model(_weight_inside()))
    model.graph.node[0].op_type = "/onnxruntime_src/a:1 " * 50_000
    with pytest.raises(RuntimeMissingError) as caught:
        _load(model.SerializeToString())
    assert len(str(caught.value)) < 300


def test_a_model_in_the_runtimes_own_format_does_not_pass_for_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "net.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(_model(_weight_inside()), options, ["CPUExecutionProvider"])
    with pytest.raises(MalformedError):
        _load((tmp_path / "net.ort").read_bytes())


@pytest.mark.parametrize(
    "path",
    [
        "../out.bin",
        "a/../../out.bin",
        "/tmp/out.bin",
        "a/./b",
        "a//b",
        "",
        ".",
        "..",
        "a\\..\\b",
        "a\0b",
        "a\nb",
    ],
)
def test_a_publisher_cannot_place_files_outside_the_extracted_folder(workshop: Workshop, path: str) -> None:
    bundle = _seal_under_name(workshop, path)
    target = workshop.folder / "deep" / "extracted"
    target.parent.mkdir()
    before = _everything_below(workshop.folder)
    with pytest.raises(MalformedError, match="not a file name for a model"):
        extract(
            bundle, target, identity=workshop.identity(), verifier=workshop.verifier(), unsafe_plaintext=True
        )
    assert _everything_below(workshop.folder) == before


def _everything_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def _seal_under_name(workshop: Workshop, path: str) -> Path:
    """Seals a bundle as a publisher with a tool of his own would: any name, honestly signed."""
    inner = InnerManifest("files", None, (ModelFile(path, bytes(32)),), None).to_bytes()
    source = workshop.folder / "x"
    source.write_bytes(b"content")
    bundle = workshop.seal(source)
    data_key = stolen_data_key(bundle, workshop.identity(), workshop.verifier())
    forgery = Forgery(bundle)
    sealed = StreamKey.derive(data_key, forgery, 0).encrypt(0, inner, last=True)
    forgery.files["payload/0"] = forgery.files["payload/0"][:STREAM_HEADER] + sealed
    forgery.edit_member(0, size=len(inner))
    forgery.recompute_leaves(0)
    forgery.sign(workshop.signer)
    return forgery.write(workshop.folder / "signed.keep")


def test_one_name_for_a_file_and_a_folder_is_refused(workshop: Workshop) -> None:
    files = [{"digest": "00" * 32, "path": path} for path in ("a", "a/b")]
    members = {"files": files, "format": "modelkeep/inner", "model_format": "files", "version": 1}
    with pytest.raises(MalformedError, match="a file and a folder"):
        InnerManifest.from_bytes(canonical.encode(members))


def test_a_tampered_model_leaves_no_plaintext_when_it_is_extracted(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal(_folder(workshop, 2.0)))
    forgery.files["payload/2"][-1] ^= 1
    bundle = forgery.write(workshop.folder / "tampered.keep")
    before = _everything_below(workshop.folder)
    with pytest.raises(TamperedError, match="segment 0"):
        extract(
            bundle,
            workshop.folder / "extracted",
            identity=workshop.identity(),
            verifier=workshop.verifier(),
            unsafe_plaintext=True,
        )
    assert _everything_below(workshop.folder) == before


def test_a_small_program_is_not_read_as_a_huge_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of FlatBuffers may share what they point to: here many inputs have one long shape."""
    monkeypatch.setattr(flatbuffers, "MOST_READ", 2**22)
    shared = program(method("forward", [tensor([1] * 3_000)], [0] * 3_000))
    assert len(shared) < 2**15
    with pytest.raises(MalformedError, match="more than any model has"):
        read_methods(memoryview(shared))


def test_one_name_or_table_is_not_read_as_a_huge_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes of a file refer to a name or a table, which takes the more memory, the more often."""
    monkeypatch.setattr(flatbuffers, "MOST_READ", 2**13)
    names = written({1: {7: {5: ["x"] * 2_000}}}, ort.IDENTIFIER)
    with pytest.raises(MalformedError, match="more than any model has"):
        ort.read_contract(memoryview(names))
    inputs = program(method("forward", [tensor([])], [0] * 500))
    with pytest.raises(MalformedError, match="more than any model has"):
        read_methods(memoryview(inputs))
