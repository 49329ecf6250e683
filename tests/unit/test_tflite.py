"""What TFLite files say of their inputs, held against the runtime that loads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from modelkeep.contract import Contract, Quantization, TensorContract
from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.tflite import default_function, read_contracts
from support.tflite_models import built, dense_model, dense_schema, function, schema

WEIGHTS = [np.ones((3, 4), np.float32)]


def read(model: Any) -> dict[str | None, Contract]:
    return read_contracts(memoryview(built(model)))


def edited(edit: Callable[[Any], object]) -> Any:
    model = dense_schema(WEIGHTS)
    edit(model)
    return model


def first_tensor(**changes: Any) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].tensors[0], name, value)

    return edit


def test_a_signature_names_its_inputs() -> None:
    (contract,) = read_contracts(memoryview(dense_model(WEIGHTS))).values()
    assert contract == Contract((TensorContract("x", "float32", (None, 4)),))


def test_without_signatures_tensors_do() -> None:
    contracts = read_contracts(memoryview(dense_model(WEIGHTS, signature=False)))
    assert contracts == {None: Contract((TensorContract("h0", "float32", (None, 4)),))}


def test_the_runtime_says_the_same() -> None:
    model = dense_model(WEIGHTS)
    details = Interpreter(model_content=model).get_signature_runner("serving_default").get_input_details()
    (tensor,) = read_contracts(memoryview(model))["serving_default"].inputs
    assert list(details) == [tensor.name]
    assert tuple(details["x"]["shape_signature"]) == (-1, 4)
    assert np.dtype(details["x"]["dtype"]) == tensor.dtype


def test_every_signature_has_a_contract_and_one_is_the_default() -> None:
    def two(model: Any) -> None:
        model.signatureDefs = [function("encode", "a", 1), function("serving_default", "b", 1)]

    contracts = read(edited(two))
    assert {name: each.inputs[0].name for name, each in contracts.items()} == {
        "encode": "a",
        "serving_default": "b",
    }
    assert default_function(contracts) == "serving_default"
    assert default_function({"encode": Contract(()), "decode": Contract(())}) == "encode"


def test_how_integers_stand_for_numbers() -> None:
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = [0.5], [-128]
    model = edited(first_tensor(type=schema.TensorType.INT8, quantization=parameters))
    (tensor,) = read(model)["serving_default"].inputs
    assert (tensor.dtype, tensor.quantization) == ("int8", Quantization(0.5, -128))


def test_a_scalar_and_a_length_of_0() -> None:
    for shape in ([], [0, 4]):
        model = edited(first_tensor(shape=shape, shapeSignature=None))
        assert read(model)["serving_default"].inputs[0].shape == tuple(shape)


@pytest.mark.parametrize("kind", ["RESOURCE", "VARIANT", "INT4", "UINT4"])
def test_element_types_that_cannot_be_checked_are_refused_by_name(kind: str) -> None:
    model = edited(first_tensor(type=getattr(schema.TensorType, kind)))
    with pytest.raises(UsageError, match=f"input 'x' has elements of type {kind.lower()}"):
        read(model)


def test_weights_in_other_files_are_refused() -> None:
    group = schema.ExternalBufferGroupT()
    group.name = "weights.bin"
    model = edited(lambda model: setattr(model, "externalBufferGroups", [group]))
    with pytest.raises(UsageError, match="in other files"):
        read(model)


def renamed(name: str) -> Callable[[Any], None]:
    return lambda model: setattr(model.signatureDefs[0].inputs[0], "name", name)


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: setattr(model, "subgraphs", []),
        lambda model: setattr(model, "signatureDefs", [function("a", "x", 1)] * 2),
        lambda model: setattr(model.signatureDefs[0], "subgraphIndex", 7),
        lambda model: setattr(model.signatureDefs[0].inputs[0], "tensorIndex", 2),
        lambda model: setattr(model.signatureDefs[0].inputs[0], "tensorIndex", 99),
        lambda model: setattr(model.subgraphs[0], "inputs", [99]),
        lambda model: model.signatureDefs[0].inputs.append(model.signatureDefs[0].inputs[0]),
        first_tensor(shape=[-5, 4], shapeSignature=None),
        renamed(""),
    ],
)
def test_models_that_contradict_themselves_are_malformed(edit: Callable[[Any], object]) -> None:
    with pytest.raises(MalformedError):
        read(edited(edit))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0\0\0\0TFL3", b"\xff\xff\xff\x7fTFL3", b"\x04\0\0\0TFL3"])
def test_what_is_cut_off_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_contracts(memoryview(data))


def test_cut_anywhere_it_is_read_or_malformed() -> None:
    model = dense_model(WEIGHTS)
    for end in range(len(model)):
        try:
            read_contracts(memoryview(model)[:end])
        except MalformedError:
            continue
