"""Which files make a model, which of them a runtime is handed, and what it takes as input."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from modelkeep.errors import KeepError, MalformedError, StorageError, UsageError
from modelkeep.model import from_memory, read_model
from modelkeep.payload.source import MemorySource
from support.workshop import scale_model


def write(folder: Path, *paths: str, content: bytes = b"content") -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def external_model(folder: Path, location: str = "weights.bin", size: int = 4) -> Path:
    """Writes an ONNX model that keeps its only weight in another file."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load_model_from_string(scale_model(2.0, size))
    onnx.save_model(
        model,
        str(folder / "net.onnx"),
        save_as_external_data=True,
        location=location,
        size_threshold=0,
        convert_attribute=True,
    )
    return folder


def test_a_single_file_is_its_own_entry(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(scale_model(2.0, 4))
    model = read_model(tmp_path / "net.onnx")
    assert (model.format, model.entry, list(model.sources)) == ("onnx", "net.onnx", ["net.onnx"])
    assert model.contract is not None
    assert model.contract.by_name()["x"].shape == (None, 4)
    assert model.size == (tmp_path / "net.onnx").stat().st_size


@pytest.mark.parametrize("name", ["a", "a.bin", "a.ONNX", "a.tflite", ".onnx"])
def test_content_decides_and_not_the_name(tmp_path: Path, name: str) -> None:
    model = read_model(write(tmp_path, name, content=scale_model(1.0, 2)) / name)
    assert (model.format, model.entry) == ("onnx", name)
    assert model.contract is not None


@pytest.mark.parametrize("name", ["a.bin", "a", "a.xml"])
def test_what_nobody_recognises_is_a_file(tmp_path: Path, name: str) -> None:
    model = read_model(write(tmp_path, name, content=b"<opencv_storage>") / name)
    assert (model.format, model.entry, model.contract) == ("files", name, None)


def test_a_folder_of_a_transformer(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "c0ffee"
    names = ["config.json", "größe 😀.txt", "onnx/net.onnx", "sub folder/vocab.txt", ".gitattributes"]
    write(folder, *names)
    write(tmp_path, "blobs/sha", content=scale_model(1.0, 2))
    (folder / "onnx/net.onnx").unlink()
    (folder / "onnx/net.onnx").symlink_to("../../../blobs/sha")
    model = read_model(folder)
    assert list(model.sources) == sorted(names)
    assert (model.format, model.entry) == ("onnx", "onnx/net.onnx")
    assert model.contract is not None


def test_shards_are_one_model_without_an_entry(tmp_path: Path) -> None:
    write(tmp_path, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json")
    model = read_model(tmp_path)
    assert (model.format, model.entry, len(model.sources)) == ("files", None, 3)


def test_a_folder_without_a_known_format_is_plain_files(tmp_path: Path) -> None:
    model = read_model(write(tmp_path, "a.txt", "b.txt"))
    assert (model.format, model.entry) == ("files", None)


def test_several_candidates_need_an_entry(tmp_path: Path) -> None:
    write(tmp_path, "a.onnx", "b.tflite", content=scale_model(1.0, 2))
    with pytest.raises(UsageError, match=r"a\.onnx, b\.tflite") as caught:
        read_model(tmp_path)
    assert "--entry" in str(caught.value.hint)
    assert read_model(tmp_path, entry="a.onnx").format == "onnx"
    with pytest.raises(UsageError, match="no file 'c.onnx'"):
        read_model(tmp_path, entry="c.onnx")


def test_external_weights_belong_to_the_model(tmp_path: Path) -> None:
    folder = external_model(tmp_path / "model")
    assert list(read_model(folder).sources) == ["net.onnx", "weights.bin"]


def test_external_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    folder = external_model(tmp_path / "model")
    for path in (folder / "net.onnx", folder):
        with pytest.raises(UsageError, match=r"not there: weights\.bin") as caught:
            read_model(path)
        assert "folder" in str(caught.value.hint)
        (folder / "weights.bin").unlink(missing_ok=True)


def test_external_weights_are_found_beside_the_entry(tmp_path: Path) -> None:
    external_model(tmp_path / "model" / "deep")
    assert read_model(tmp_path / "model").entry == "deep/net.onnx"


def test_a_model_in_memory_must_be_complete(tmp_path: Path) -> None:
    content = memoryview((external_model(tmp_path / "model") / "net.onnx").read_bytes())
    with pytest.raises(UsageError, match=r"not there: weights\.bin"):
        from_memory("net.onnx", MemorySource(content), content)


def test_a_model_in_memory() -> None:
    content = memoryview(scale_model(1.0, 2))
    model = from_memory("net.onnx", MemorySource(content), content)
    assert (model.format, model.entry, model.size) == ("onnx", "net.onnx", len(content))
    assert model.contract is not None
    other = from_memory("net.bin", MemorySource(content), content, format="files")
    assert (other.format, other.contract) == ("files", None)
    with pytest.raises(UsageError, match="not a file name"):
        from_memory("../net.onnx", MemorySource(content), content)


@pytest.mark.parametrize("size", [0, 1])
def test_empty_and_tiny_files_are_files(tmp_path: Path, size: int) -> None:
    model = read_model(write(tmp_path, "a.bin", "b.bin", content=bytes(size)))
    assert [source.size for source in model.sources.values()] == [size, size]


@pytest.mark.parametrize("content", [b"", b"x", b"not a model"])
def test_a_damaged_onnx_file_is_malformed(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MalformedError):
        read_model(write(tmp_path, "net.onnx", content=content) / "net.onnx")


def no_folder(folder: Path) -> Path:
    return folder / "none"


def empty(folder: Path) -> Path:
    (folder / "empty/sub").mkdir(parents=True)
    return folder / "empty"


def linked_folder(folder: Path) -> Path:
    write(folder, "elsewhere/a")
    (folder / "model").mkdir()
    (folder / "model/link").symlink_to("../elsewhere")
    return folder / "model"


def dangling_link(folder: Path) -> Path:
    (folder / "link").symlink_to("none")
    return folder


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder


def not_utf8(folder: Path) -> Path:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.bin")).touch()
    return folder


def backslash(folder: Path) -> Path:
    return write(folder, "a\\b")


def newline(folder: Path) -> Path:
    return write(folder, "a\nb") / "a\nb"


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (no_folder, StorageError, "no such file"),
        (lambda folder: folder / ("n" * 300), StorageError, "name too long"),
        (empty, UsageError, "holds no files"),
        (linked_folder, UsageError, "link to a folder"),
        (dangling_link, StorageError, "no such file"),
        (pipe, StorageError, "not a regular file"),
        (lambda folder: pipe(folder) / "pipe", StorageError, "not a regular file"),
        (not_utf8, UsageError, "not a file name"),
        (backslash, UsageError, "not a file name"),
        (newline, UsageError, "not a file name"),
    ],
)
def test_what_cannot_be_sealed(
    tmp_path: Path, make: Callable[[Path], Path], kind: type[KeepError], match: str
) -> None:
    with pytest.raises(kind, match=match):
        read_model(make(tmp_path))


def test_more_files_than_can_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkeep.model.MOST_FILES", 3)
    assert len(read_model(write(tmp_path, "a", "b", "c")).sources) == 3
    with pytest.raises(UsageError, match="more than 3 files"):
        read_model(write(tmp_path, "d"))


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match="permission denied"):
        read_model(write(tmp_path, "a"))


def test_a_model_that_cannot_be_described_is_a_usage_error(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info(f"x{index}", TensorProto.FLOAT, [1]) for index in range(1025)]
    node = helper.make_node("Identity", ["x0"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    content = helper.make_model(helper.make_graph([node], "many", inputs, [output])).SerializeToString()
    model = read_model(write(tmp_path, "net.onnx", content=content) / "net.onnx")
    with pytest.raises(UsageError, match="cannot be described"):
        model.inner_manifest()
