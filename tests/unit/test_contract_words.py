"""What a model takes, in words and as JSON."""

from __future__ import annotations

import pytest

from modelkeep.cli.contract_words import entries_in_words, entry_to_json, in_words
from modelkeep.contract import Contract, Quantization, TensorContract
from modelkeep.inner_manifest import Entry


def tensor(**members: object) -> TensorContract:
    return TensorContract("x", "float32", (None, 3), maximum_bytes=9, **members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (tensor(), "float32 (any, 3), at most 9 bytes"),
        (tensor(optional=True), "float32 (any, 3), may be left out, at most 9 bytes"),
        (tensor(finite=False), "float32 (any, 3), NaN and infinities pass, at most 9 bytes"),
        (tensor(empty=True), "float32 (any, 3), may be empty, at most 9 bytes"),
        (tensor(minimum=0.0, maximum=1.5), "float32 (any, 3), from 0, up to 1.5, at most 9 bytes"),
        (tensor(sequence=True), "list of float32 (any, 3), at most 9 bytes"),
        (tensor(keys="int64"), "map from int64 to float32, at most 9 bytes"),
        (
            tensor(quantization=Quantization(0.5, 3)),
            "float32 (any, 3), at most 9 bytes, quantized: 0.5 * (x - 3)",
        ),
        (TensorContract("x", "int8", None, maximum_bytes=9), "int8 of any shape, at most 9 bytes"),
    ],
)
def test_words(given: TensorContract, words: str) -> None:
    assert in_words(given) == words


def test_several_entries_are_told_apart() -> None:
    entries = [
        Entry("onnx", "a.onnx", None, Contract((tensor(),))),
        Entry("gguf", "b.gguf", None, None),
    ]
    assert list(entries_in_words(entries)) == [
        "entry a.onnx (onnx)",
        "input x: float32 (any, 3), at most 9 bytes",
        "entry b.gguf (gguf)",
        "inputs are not checked: neither gguf files nor the publisher describe them",
    ]
    assert list(entries_in_words(entries[:1])) == ["input x: float32 (any, 3), at most 9 bytes"]


def test_json() -> None:
    contract = Contract((tensor(minimum=0.0, quantization=Quantization(0.5, 3)),))
    described = entry_to_json(Entry("onnx", "a.onnx", None, contract))
    assert (described["name"], described["format"]) == ("a.onnx", "onnx")
    assert described["inputs"]["x"] == {
        "dtype": "float32",
        "shape": [None, 3],
        "finite": True,
        "empty": False,
        "optional": False,
        "sequence": False,
        "keys": None,
        "minimum": 0.0,
        "maximum": None,
        "maximum_bytes": 9,
        "quantization": {"scale": 0.5, "zero_point": 3},
    }
    assert entry_to_json(Entry("gguf", "b.gguf", None, None))["inputs"] is None
