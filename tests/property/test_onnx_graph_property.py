from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from modelkeep.contract import Contract
from modelkeep.errors import KeepError, UsageError
from modelkeep.formats.onnx_graph import external_files, read_contract
from modelkeep.formats.protobuf import BYTES, fields
from modelkeep.runtimes.onnx_slim import SlimGraph


def _model() -> bytes:
    tensor = TensorProto(name="w", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("t", 1, [2], [1.0, 2.0]))
    branch = helper.make_graph([constant], "b", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    inputs = [helper.make_tensor_value_info("x", 1, ["n", 3]), helper.make_tensor_value_info("w", 1, [1])]
    graph = helper.make_graph([node], "g", inputs, [], [tensor])
    return bytes(helper.make_model(graph).SerializeToString())


MODEL = _model()
EDITS = st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), min_size=1, max_size=6)


def walk(data: bytes) -> None:
    """Both readers either answer or raise one of our own errors."""
    with contextlib.suppress(KeepError):
        assert isinstance(read_contract(memoryview(data)), Contract)
    with contextlib.suppress(KeepError):
        assert all(".." not in location.split("/") for location in external_files(memoryview(data)))


def refers_elsewhere(data: bytes) -> bool:
    try:
        return bool(external_files(memoryview(data)))
    except UsageError:
        return True
    except KeepError:
        return False


@given(EDITS)
def test_what_lies_in_other_files_is_noticed_without_the_walk(edits: list[tuple[int, int]]) -> None:
    """However a model is damaged: where the walk finds something, the look before it has seen the word."""
    data = bytearray(MODEL)
    for position, byte in edits:
        data[position] = byte
    if refers_elsewhere(bytes(data)):
        assert SlimGraph(memoryview(data), "x", {}).may_need_other_files()


@given(st.binary(max_size=300))
def test_random_bytes_never_break_the_walker(data: bytes) -> None:
    walk(data)


@given(EDITS)
def test_mutated_models_never_break_the_walker(edits: list[tuple[int, int]]) -> None:
    data = bytearray(MODEL)
    for position, byte in edits:
        data[position] = byte
    walk(bytes(data))


@given(st.integers(0, len(MODEL)), st.binary(max_size=20))
def test_inserted_bytes_never_break_the_walker(position: int, more: bytes) -> None:
    walk(MODEL[:position] + more + MODEL[position:])


@given(st.binary(max_size=300))
def test_fields_lie_one_after_another_within_the_message(data: bytes) -> None:
    position = 0
    with contextlib.suppress(KeepError):
        for field in fields(memoryview(data), 0, len(data)):
            start, end = field.span
            assert position < start <= end <= len(data)
            assert field.wire_type == BYTES or start < end
            position = end
