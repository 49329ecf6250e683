"""Which format a file is of, what stands for a model and is none, and models with several entries."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from onnx import TensorProto, helper

from modelkeep.errors import InputError, MalformedError, UsageError
from modelkeep.formats import registry
from modelkeep.formats.format import Format
from modelkeep.formats.ours import OnnxFormat
from modelkeep.inner_manifest import InnerManifest, ModelFile
from modelkeep.model_entries import find_entries
from support.gguf_files import language_model
from support.ort_models import ort_model
from support.tflite_models import built, dense_model, dense_schema, function
from support.workshop import Workshop, scale_model

IR = (
    b'<?xml version="1.0"?>\n<net name="m"><layers>'
    b'<layer name="x" type="Parameter"><data shape="1" element_type="f32"/></layer></layers></net>'
)
SAFETENSORS = b'\x3e\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}        \0\0\0\0'


def archive(member: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(f"model/{member}", b"")
    return buffer.getvalue()


CONTENTS = {
    "onnx": scale_model(1.0, 2),
    "tflite": dense_model([np.ones((3, 4), np.float32)]),
    "gguf": language_model(),
    "safetensors": SAFETENSORS,
    "torch": archive("data.pkl"),
}


def formats(name: str, content: bytes, **how: str) -> list[str]:
    return [entry.format for entry in find_entries({name: memoryview(content)}, None, how.get("format"))]


@pytest.mark.parametrize("format", CONTENTS)
@pytest.mark.parametrize("name", ["model", "a.bin", "m.torchscript", "m.jit", "m.tflite", "m.ONNX"])
def test_content_decides(format: str, name: str) -> None:
    assert formats(name, CONTENTS[format]) == [format]


def test_what_ort_writes_is_told_from_tflite(tmp_path: Path) -> None:
    assert formats("m", ort_model(scale_model(1.0, 2), tmp_path)) == ["ort"]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.safetensors", "m.gguf", "m.xml", "m.pt", "m"])
@pytest.mark.parametrize(
    ("content", "words"), [(POINTER, "a pointer of Git LFS"), (b"\n<!DOCTYPE HTML><html>", "a web page")]
)
def test_what_stands_for_a_model_is_told(name: str, content: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words) as caught:
        formats(name, content)
    assert caught.value.hint
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize("name", ["m.onnx", "m.ort", "m.tflite", "m.gguf", "m.safetensors", "m.pt"])
@pytest.mark.parametrize("content", [b"", b"text that is no model at all", bytes(100)])
def test_damaged_files_are_told_by_name(name: str, content: bytes) -> None:
    with pytest.raises(MalformedError, match=name):
        formats(name, content)


def test_the_format_can_be_named() -> None:
    assert formats("m.onnx", b"whatever", format="files") == []
    assert formats("m.bin", b"whatever", format="torch") == ["torch"]
    with pytest.raises(UsageError, match="no format is named 'onx'") as caught:
        formats("m.onnx", CONTENTS["onnx"], format="onx")
    assert "onnx" in str(caught.value.hint)


class AcmeFormat(Format):
    """A format of somebody else."""

    name: ClassVar[str] = "net.acme"
    suffixes: ClassVar[tuple[str, ...]] = (".acme",)

    @classmethod
    def recognises(cls, view: memoryview) -> bool:
        """See `Format.recognises`."""
        return bytes(view[:4]) == b"ACME"


def test_formats_of_others_are_asked_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "every_format", lambda: (OnnxFormat, AcmeFormat))
    assert formats("m", b"ACME...") == ["net.acme"]
    assert formats("m.acme", CONTENTS["onnx"]) == ["onnx"]


def views(files: dict[str, bytes]) -> dict[str, memoryview]:
    return {name: memoryview(content) for name, content in files.items()}


def test_weights_that_are_elsewhere_are_missed() -> None:
    with pytest.raises(UsageError, match=r"m\.xml keeps weights in files that are not there: m\.bin"):
        find_entries(views({"m.xml": IR}), None, None)
    (entry,) = find_entries(views({"m.xml": IR, "m.bin": b""}), None, None)
    assert (entry.format, entry.path) == ("openvino", "m.xml")
    assert entry.contract is not None


INDEX = json.dumps(
    {"metadata": {"total_size": 8.0}, "weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}
)
SHARDS = {
    "model.safetensors.index.json": INDEX.encode(),
    "config.json": b"{}",
    "a.safetensors": SAFETENSORS,
    "b.safetensors": SAFETENSORS,
}


def test_spread_safetensors_are_one_model() -> None:
    (entry,) = find_entries(views(SHARDS), None, None)
    assert (entry.format, entry.path) == ("safetensors", "model.safetensors.index.json")
    del (left := dict(SHARDS))["b.safetensors"]
    with pytest.raises(UsageError, match=r"not there: b\.safetensors"):
        find_entries(views(left), None, None)


def test_spread_weights_without_an_index_are_files() -> None:
    del (left := dict(SHARDS))["model.safetensors.index.json"]
    assert find_entries(views(left), None, None) == ()


def test_split_gguf_is_one_model() -> None:
    part = language_model(**{"split.count": 2})
    parts = {"m-00001-of-00002.gguf": part, "m-00002-of-00002.gguf": part}
    (entry,) = find_entries(views(parts), None, None)
    assert (entry.format, entry.path) == ("gguf", "m-00001-of-00002.gguf")
    del parts["m-00002-of-00002.gguf"]
    with pytest.raises(UsageError, match=r"not there: m-00002-of-00002\.gguf"):
        find_entries(views(parts), None, None)
    with pytest.raises(UsageError, match="not named as the first of them") as caught:
        find_entries(views({"m.gguf": part}), None, None)
    assert "model-00001-of-00002.gguf" in str(caught.value.hint)


def test_of_a_folder_without_known_names_content_tells() -> None:
    files = {"pytorch_model.bin": CONTENTS["torch"], "config.json": b"{}", "README.md": b"# model"}
    (entry,) = find_entries(views(files), None, None)
    assert (entry.format, entry.path) == ("torch", "pytorch_model.bin")


TWO = {"encoder.onnx": scale_model(2.0, 4), "decoder.onnx": scale_model(3.0, 5)}


def test_several_entries_are_named_by_the_publisher() -> None:
    with pytest.raises(UsageError, match="several files could be the model") as caught:
        find_entries(views(TWO), None, None)
    assert "--entry" in str(caught.value.hint)
    assert [entry.path for entry in find_entries(views(TWO), ["decoder.onnx", "encoder.onnx"], None)] == [
        "decoder.onnx",
        "encoder.onnx",
    ]


def two_functions() -> bytes:
    model = dense_schema([np.ones((3, 4), np.float32)])
    model.signatureDefs = [function("encode", "a", 1), function("serving_default", "b", 1)]
    return built(model)


def test_functions_are_entries() -> None:
    files = views({"m.tflite": two_functions()})
    names = [entry.name for entry in find_entries(files, None, None)]
    assert names == ["m.tflite#serving_default", "m.tflite#encode"]
    assert [entry.name for entry in find_entries(files, "m.tflite#encode", None)] == ["m.tflite#encode"]
    for wrong in ("m.tflite#run", "m.onnx", "n.tflite#encode"):
        with pytest.raises(UsageError):
            find_entries(files, wrong, None)


@pytest.mark.parametrize("isolation", ["in-process", "process"])
def test_entries_are_chosen_at_opening(workshop: Workshop, isolation: str) -> None:
    folder = workshop.folder / "model"
    folder.mkdir()
    for name, content in TWO.items():
        (folder / name).write_bytes(content)
    bundle = workshop.seal(folder, entry=["encoder.onnx", "decoder.onnx"])
    for entry, weight, size in ((None, 2, 4), ("encoder.onnx", 2, 4), ("decoder.onnx", 3, 5)):
        with workshop.open(bundle, entry=entry, isolation=isolation) as session:
            assert session.run({"x": np.ones((1, size), np.float32)})["y"].tolist() == [[weight] * size]
    with pytest.raises(UsageError, match="no entry 'x'") as caught:
        workshop.open(bundle, entry="x", isolation=isolation)
    assert caught.value.hint == "entries: encoder.onnx, decoder.onnx"


def test_every_entry_has_a_contract_that_can_be_changed(workshop: Workshop) -> None:
    folder = workshop.folder / "model"
    folder.mkdir()
    for name, content in TWO.items():
        (folder / name).write_bytes(content)
    changes = {"x": {"maximum": 1}, "decoder.onnx": {"x": {"maximum": 2}}}
    bundle = workshop.seal(folder, entry=["encoder.onnx", "decoder.onnx"], contract=changes)
    for entry, size, most in (("encoder.onnx", 4, 1), ("decoder.onnx", 5, 2)):
        with workshop.open(bundle, entry=entry) as session:
            session.run({"x": np.full((1, size), most, np.float32)})
            with pytest.raises(InputError, match="range"):
                session.run({"x": np.full((1, size), most + 1, np.float32)})


def test_a_guard_knows_the_default_entry_alone() -> None:
    first, second = find_entries(views(TWO), ["encoder.onnx", "decoder.onnx"], None)
    files = tuple(ModelFile(name, bytes(32)) for name in TWO)
    inner = InnerManifest("onnx", first.path, files, first.contract, b"{}", others=(second,))
    assert inner.choose(None) == first
    with pytest.raises(UsageError, match=r"knows inputs of encoder\.onnx alone"):
        inner.choose("decoder.onnx")


@pytest.mark.parametrize("isolation", ["in-process", "process"])
def test_functions_are_chosen_at_opening(workshop: Workshop, isolation: str) -> None:
    path = workshop.folder / "m.tflite"
    path.write_bytes(two_functions())
    bundle = workshop.seal(path)
    for entry, name in ((None, "b"), ("m.tflite#encode", "a"), ("#encode", "a")):
        with workshop.open(bundle, entry=entry, isolation=isolation) as session:
            assert session.run({name: np.ones((1, 4), np.float32)})["y"].tolist() == [[4.0] * 3]


def test_what_cannot_be_opened_is_said_at_sealing(workshop: Workshop) -> None:
    from modelkeep.sealing import seal

    path = workshop.folder / "model.pkl"
    path.write_bytes(b"\x80\x04N.")
    draft = seal(path, model="a/m", to=[workshop.device.with_suffix(".pub")], signer=workshop.signer)
    (note,) = draft.notes
    assert "open_files" in note
    bundle = workshop.seal(path)
    with pytest.raises(UsageError, match="no runtime is registered for models of format 'files'") as caught:
        workshop.open(bundle)
    assert "open_files" in str(caught.value.hint)


def test_errors_of_a_model_name_its_file() -> None:
    graph = helper.make_graph([], "g", [helper.make_tensor_value_info("x", TensorProto.INT4, [2])], [])
    content = helper.make_model(graph).SerializeToString()
    with pytest.raises(UsageError, match=r"^m\.onnx: input 'x' has elements of type int4"):
        find_entries({"m.onnx": memoryview(content)}, None, None)
