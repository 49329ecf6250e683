"""The inner manifest: names, formats and input contracts that travel encrypted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.contract import Contract, Quantization, TensorContract
from modelkeep.errors import MalformedError, UnsupportedVersionError
from modelkeep.inner_manifest import LARGEST_INNER_MANIFEST, InnerManifest, ModelFile, check_path

X = TensorContract("x", "float32", (None, 4), minimum=-0.0, maximum=1e300, maximum_bytes=64)
ANY = TensorContract("any", "string", None, finite=False)
INNER = InnerManifest(
    "onnx",
    "net.onnx",
    (ModelFile("net.onnx", bytes(32)), ModelFile("data/weights.bin", b"\1" * 32)),
    Contract((X, ANY)),
)


def changed(**changes: Any) -> bytes:
    value = canonical.decode(INNER.to_bytes(), "test") | changes
    return canonical.encode({name: item for name, item in value.items() if item is not ...})


def with_input(**changes: Any) -> bytes:
    tensor = canonical.decode(INNER.to_bytes(), "test")["inputs"][0] | changes
    return changed(inputs=[{name: item for name, item in tensor.items() if item is not ...}])


def with_paths(*paths: str) -> bytes:
    return changed(entry=..., files=[{"digest": "00" * 32, "path": path} for path in paths])


@pytest.mark.parametrize(
    "inner",
    [
        INNER,
        INNER._replace(entry=None),
        INNER._replace(contract=None),
        INNER._replace(contract=Contract(())),
        INNER._replace(contract=Contract((replace(X, shape=(), minimum=5e-324, maximum=None),))),
        INNER._replace(entry=None, files=(ModelFile("ordner/größe 😀.bin", bytes(32)),)),
    ],
)
def test_parsing_undoes_writing(inner: InnerManifest) -> None:
    assert InnerManifest.from_bytes(inner.to_bytes()) == inner


def test_ext_is_left_to_others() -> None:
    assert InnerManifest.from_bytes(changed(ext={"vendor": 1})) == INNER
    assert InnerManifest.from_bytes(with_input(ext={})).contract == Contract((X,))


@pytest.mark.parametrize("name", ["files", "format", "model_format", "version"])
def test_required_members(name: str) -> None:
    with pytest.raises(MalformedError, match=f"member '{name}' is missing"):
        InnerManifest.from_bytes(changed(**{name: ...}))


@pytest.mark.parametrize("name", ["dtype", "finite", "maximum_bytes", "name", "shape"])
def test_required_members_of_an_input(name: str) -> None:
    with pytest.raises(MalformedError, match=f"member '{name}' is missing"):
        InnerManifest.from_bytes(with_input(**{name: ...}))


@pytest.mark.parametrize("name", ["files", "format", "model_format", "version", "entry", "inputs"])
@pytest.mark.parametrize("value", [None, True, {}, [0], -1])
def test_every_member_has_its_type(name: str, value: object) -> None:
    with pytest.raises(MalformedError):
        InnerManifest.from_bytes(changed(**{name: value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"format": "modelkeep/bundle"},
        {"entry": "other.onnx"},
        {"model_format": "ONNX"},
        {"model_format": ""},
        {"model_format": "x" * 33},
        {"files": [{"path": "net.onnx"}]},
        {"files": [{"path": "net.onnx", "digest": "00"}]},
        {"files": [{"path": "net.onnx", "digest": "00" * 32, "size": 1}]},
        {"inputs": [{"name": "x"}]},
        {"inputs": [1]},
    ],
)
def test_refuses_what_is_not_an_inner_manifest(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        InnerManifest.from_bytes(changed(**changes))


def test_switches_are_written_only_where_they_are_on() -> None:
    plain = TensorContract("x", "int8", (0, None))
    full = TensorContract(
        "y",
        "float8_e5m2",
        None,
        finite=False,
        empty=True,
        optional=True,
        sequence=True,
        keys="int64",
        quantization=Quantization(0.5, -128),
    )
    inner = InnerManifest("onnx", "m", (ModelFile("m", bytes(32)),), Contract((plain, full)))
    written = inner.to_bytes()
    assert InnerManifest.from_bytes(written) == inner
    assert json.loads(written)["inputs"] == [
        {"dtype": "int8", "finite": True, "maximum_bytes": 2**28, "name": "x", "shape": [0, None]},
        {
            **{"dtype": "float8_e5m2", "finite": False, "maximum_bytes": 2**28, "name": "y", "shape": None},
            **{"empty": True, "optional": True, "sequence": True, "keys": "int64"},
            "quantization": {"scale": "0x1.0000000000000p-1", "zero_point": -128},
        },
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"dtype": "float33"},
        {"dtype": 1},
        {"finite": 1},
        {"name": None},
        {"maximum_bytes": "1"},
        {"shape": [-1]},
        {"empty": False},
        {"optional": 1},
        {"sequence": None},
        {"keys": "float32"},
        {"quantization": {"scale": "0x1.0000000000000p-1"}},
        {"quantization": {"zero_point": 1}},
        {"quantization": {"scale": "0x1p-1", "zero_point": 1}},
        {"shape": [True]},
        {"shape": ["4"]},
        {"shape": "4"},
        {"shape": [1] * 65},
        {"minimum": "nan"},
        {"minimum": "inf"},
        {"minimum": "-inf"},
        {"minimum": "1.0"},
        {"minimum": "0x1p+0"},
        {"minimum": " 0x1.0000000000000p+0"},
        {"minimum": "0x1p99999"},
        {"minimum": "words"},
        {"minimum": 1},
        {"maximum": "0x1.0000000000000p+0 "},
        {"maximum": None},
    ],
)
def test_refuses_inputs_with_a_second_spelling_or_none(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        InnerManifest.from_bytes(with_input(**changes))


def test_refuses_one_name_for_two_inputs() -> None:
    twice = INNER._replace(contract=Contract((X, X)))
    with pytest.raises(MalformedError, match="names an input twice"):
        InnerManifest.from_bytes(twice.to_bytes())


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_told_apart(version: int) -> None:
    with pytest.raises(UnsupportedVersionError, match=str(version)):
        InnerManifest.from_bytes(changed(version=version))


def test_refuses_one_name_for_two_files() -> None:
    with pytest.raises(MalformedError, match="twice"):
        InnerManifest.from_bytes(with_paths("a", "a"))


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b/c/d", "a/b")])
def test_refuses_one_name_for_a_file_and_a_folder(paths: tuple[str, str]) -> None:
    with pytest.raises(MalformedError, match="a file and a folder"):
        InnerManifest.from_bytes(with_paths(*paths))


def test_names_that_merely_begin_alike_are_fine() -> None:
    assert len(InnerManifest.from_bytes(with_paths("a", "ab/c", "a.b/c")).files) == 3


def test_many_deep_paths_are_checked_without_keeping_every_folder() -> None:
    paths = [f"{'/'.join('x' * 500)}/{number}" for number in range(300)]
    assert len(InnerManifest.from_bytes(with_paths(*paths)).files) == 300


def test_reads_at_most_sixteen_mebibytes() -> None:
    with pytest.raises(MalformedError, match="16 MiB"):
        InnerManifest.from_bytes(bytes(LARGEST_INNER_MANIFEST + 1))


@pytest.mark.parametrize("path", ["a", "a/b", "a b", "größe", "...", "a/..b", "😀", "é" * 512, "~", "-rf"])
def test_paths_that_may_name_a_file(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "./a",
        "a\\b",
        "a\x00",
        "a\n",
        "\x1b[1m",
        "\x7f",
        "\udcff",
        "é" * 512 + "a",
    ],
)
def test_paths_that_may_not(path: str) -> None:
    with pytest.raises(MalformedError, match="not a file name"):
        check_path(path)
