"""What OpenVINO IR files say of their inputs, held against the runtime that loads them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from modelkeep.contract import Contract, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.openvino_ir import read_contract

# Its names are made when it is imported, which no checker sees.
openvino: Any = importlib.import_module("openvino")
opset13: Any = importlib.import_module("openvino.opset13")


def ir(folder: Path, shape: Any, element: Any = openvino.Type.f32, names: set[str] | None = None) -> bytes:
    parameter = opset13.parameter(openvino.PartialShape(shape), element, name="layer")
    if names is not None:
        parameter.output(0).set_names(names)
    model = openvino.Model([opset13.convert(parameter, "f64")], [parameter], "model")
    openvino.serialize(model, folder / "m.xml", folder / "m.bin")
    return (folder / "m.xml").read_bytes()


ANY = openvino.Dimension()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([1, 3], (1, 3)),
        ([-1, 3], (None, 3)),
        ([openvino.Dimension(1, 10), openvino.Dimension(2, -1)], (None, None)),
        ([], ()),
        ([0, 3], (0, 3)),
        (openvino.PartialShape.dynamic(), None),
    ],
    ids=str,
)
def test_shapes(tmp_path: Path, shape: Any, expected: Any) -> None:
    contract = read_contract(memoryview(ir(tmp_path, shape)))
    assert contract == Contract((TensorContract("layer", "float32", expected),))


@pytest.mark.parametrize(
    "name",
    ["f16", "f32", "f64", "bf16", "boolean", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f8e5m2"],
)
def test_element_types_are_those_of_the_runtime(tmp_path: Path, name: str) -> None:
    element = getattr(openvino.Type, name)
    (tensor,) = read_contract(memoryview(ir(tmp_path, [1], element))).inputs
    own = {"bf16": "bfloat16", "f8e5m2": "float8_e5m2"}
    assert tensor.dtype == own.get(name, element.to_dtype().name)


def test_of_several_names_the_first_counts(tmp_path: Path) -> None:
    (tensor,) = read_contract(memoryview(ir(tmp_path, [1], names={"z", "a,b", "m"}))).inputs
    assert tensor.name == "a,b"


@pytest.mark.parametrize("name", ["u1", "i4", "nf4"])
def test_element_types_that_cannot_be_checked_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"elements of type {name}"):
        read_contract(memoryview(ir(tmp_path, [2], getattr(openvino.Type, name))))


PARAMETER = '<layer id="0" name="p" type="Parameter"><data shape="1" element_type="f32"/></layer>'


def net(layers: str) -> bytes:
    return f"<net><layers>{layers}</layers></net>".encode()


def test_inner_bodies_have_parameters_of_their_own() -> None:
    loop = f'<layer id="1" name="l" type="Loop"><body><layers>{PARAMETER}</layers></body></layer>'
    assert [tensor.name for tensor in read_contract(memoryview(net(PARAMETER + loop))).inputs] == ["p"]


BOMB = b'<!DOCTYPE net [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><net><layers>&b;</layers></net>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<net>",
        b"<opencv_storage/>",
        BOMB,
        b"<!DOCTYPE net SYSTEM 'file:///etc/passwd'><net/>",
        net(PARAMETER * 2),
        net('<layer name="p" type="Parameter"/>'),
        net(PARAMETER.replace('name="p"', "")),
        net(PARAMETER.replace('shape="1"', 'shape="x"')),
        net(PARAMETER.replace('shape="1"', 'shape="-2"')),
        net(PARAMETER.replace('shape="1"', 'shape="99999999999999999999"')),
        net(PARAMETER.replace("/></layer>", '/><data shape="2" element_type="f32"/></layer>')),
        net("<layer>" * 300 + "</layer>" * 300),
        "<net/>".encode("utf-16")[:-3],
    ],
)
def test_what_no_exporter_writes_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_contract(memoryview(data))
