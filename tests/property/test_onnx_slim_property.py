"""Slimming is lossless, whatever the model looks like; bytes that are no model are refused in words."""

from __future__ import annotations

import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from modelkeep.errors import KeepError
from support.onnx_parts import UNREADABLE, rejoined, slimmed

TENSORS = st.builds(
    lambda name, text, count, wide: TensorProto(
        name=name,
        doc_string=text,
        data_type=TensorProto.DOUBLE if wide else TensorProto.FLOAT,
        dims=[count],
        raw_data=bytes(range(256))[: count % 256].ljust(count * (8 if wide else 4), b"\x01"),
    ),
    st.text("ab", max_size=9),
    st.text("cd", max_size=9),
    st.integers(0, 300),
    st.booleans(),
)


def model(tensors: list[TensorProto], text: str) -> bytes:
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["y"])], "g", [], [], tensors)
    return bytes(helper.make_model(graph, ir_version=10, doc_string=text).SerializeToString())


MODEL = model([TensorProto(name="w", data_type=1, dims=[40], raw_data=bytes(range(160)))] * 2, "text")
EDITS = st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), min_size=1, max_size=4)


@given(st.lists(TENSORS, max_size=5), st.text("ef", max_size=9))
def test_weights_and_graph_together_are_the_model(tensors: list[TensorProto], text: str) -> None:
    data = model(tensors, text)
    small, original = slimmed(data)
    assert len(original) == len(data)
    assert rejoined(small, original) == onnx.load_model_from_string(data)


@given(EDITS)
def test_a_damaged_model_is_refused_or_stays_the_model_it_is(edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(MODEL)
    for position, byte in edits:
        damaged[position] = byte
    try:
        small, original = slimmed(bytes(damaged))
        expected = onnx.load_model_from_string(bytes(damaged))
    except (KeepError, UNREADABLE):
        return
    assert rejoined(small, original).SerializeToString() == expected.SerializeToString()


@given(st.binary(max_size=200))
def test_random_bytes_never_break_it(data: bytes) -> None:
    try:
        small, _ = slimmed(data)
    except KeepError:
        return
    assert len(small) <= 2 * len(data)
