"""The small graph: what it lends, what it leaves alone, and that nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelkeep.errors import MalformedError
from modelkeep.runtimes.onnx_slim import SlimGraph
from support.onnx_parts import entries, is_lent, rejoined, slimmed

WIDTHS: dict[int, float] = {
    **dict.fromkeys((TensorProto.INT4, TensorProto.UINT4), 0.5),
    **dict.fromkeys((TensorProto.UINT8, TensorProto.INT8, TensorProto.BOOL, TensorProto.FLOAT8E4M3FN), 1),
    **dict.fromkeys((TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT16, TensorProto.UINT16), 2),
    **dict.fromkeys((TensorProto.FLOAT, TensorProto.INT32, TensorProto.UINT32), 4),
    **dict.fromkeys((TensorProto.DOUBLE, TensorProto.INT64, TensorProto.UINT64, TensorProto.COMPLEX64), 8),
    TensorProto.COMPLEX128: 16,
}


def tensor(element: int = TensorProto.FLOAT, count: int = 512, **fields: Any) -> TensorProto:
    """A tensor of one dimension with raw data, whose fields can be overwritten."""
    raw = np.random.default_rng(0).bytes(int(count * WIDTHS[element]))
    values: dict[str, Any] = {"name": "w", "data_type": element, "dims": [count], "raw_data": raw}
    return TensorProto(**(values | fields))


def model(*initializers: TensorProto) -> bytes:
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [], initializers)
    return bytes(helper.make_model(graph, ir_version=10).SerializeToString())


def lent(data: bytes) -> list[str]:
    small, _ = slimmed(data)
    return [each.name for each in onnx.load_model_from_string(small).graph.initializer if is_lent(each)]


@pytest.mark.parametrize("element", WIDTHS, ids=TensorProto.DataType.Name)
@pytest.mark.parametrize("name", ["w", "ww", "www", "wwww", "wwwwwwww"])
def test_weights_of_every_type_are_lent_aligned_and_unchanged(element: int, name: str) -> None:
    data = model(tensor(element, name=name), tensor(element, 1024, name=name * 2))
    small, original = slimmed(data)
    assert rejoined(small, original) == onnx.load_model_from_string(data)
    places = [entries(each) for each in onnx.load_model_from_string(small).graph.initializer]
    assert all(int(place["offset"]) % min(8, max(1, int(WIDTHS[element]))) == 0 for place in places)


def test_the_small_graph_is_small() -> None:
    data = model(tensor(count=100_000))
    small, _ = slimmed(data)
    assert len(data) > 400_000
    assert len(small) < 200


@pytest.mark.parametrize(
    "odd",
    [
        tensor(count=31),
        tensor(TensorProto.INT64, count=500),
        tensor(dims=[511]),
        tensor(dims=[]),
        tensor(dims=[2**62, 2**62]),
        tensor(dims=[1] * 65),
        tensor(data_type=TensorProto.STRING),
        tensor(data_type=99),
        tensor(float_data=[1.0]),
        tensor(segment=TensorProto.Segment(begin=0, end=1)),
        tensor(data_location=TensorProto.EXTERNAL),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64], float_data=[1.0] * 64),
    ],
    ids=lambda odd: "",
)
def test_small_and_unusual_tensors_stay_in_the_graph(odd: TensorProto) -> None:
    data = model(odd)
    assert lent(data) == []
    assert slimmed(data) == (data, bytearray(data))


def constant(**fields: Any) -> Any:
    """A node that gives a tensor of 2,048 floats a name, whose fields can be overwritten."""
    node = helper.make_node("Constant", [], ["w"], value=tensor(count=2048, name="inner"))
    for name, value in fields.items():
        node.ClearField(name)
        getattr(node, name).extend(value) if isinstance(value, list) else setattr(node, name, value)
    return node


def with_node(node: Any) -> bytes:
    whole = onnx.load_model_from_string(model())
    whole.graph.node.insert(0, node)
    return bytes(whole.SerializeToString())


def test_constants_are_lent_like_initializers_under_the_name_of_their_output() -> None:
    data = with_node(constant())
    small, original = slimmed(data)
    assert len(small) < 200
    whole = rejoined(small, original)
    assert [node.op_type for node in whole.graph.node] == ["Identity"]
    assert whole.graph.initializer[0] == tensor(count=2048, name="w")


@pytest.mark.parametrize(
    "odd",
    [
        constant(op_type="Constants"),
        constant(domain="own"),
        constant(input=["x"]),
        constant(output=["w", "v"]),
        constant(output=[""]),
        constant(overload="other"),
        constant(attribute=[]),
        constant(
            attribute=[helper.make_attribute("value", tensor(count=2048)), helper.make_attribute("a", 1)]
        ),
        constant(attribute=[helper.make_attribute("other", tensor(count=2048))]),
        constant(attribute=[helper.make_attribute("value", [0.5] * 2048)]),
        constant(attribute=[onnx.AttributeProto(name="value", t=tensor(count=2048), type="FLOAT")]),
        constant(attribute=[helper.make_attribute("value", tensor(TensorProto.INT64, 500))]),
        constant(attribute=[helper.make_attribute("value", tensor(count=100))]),
    ],
    ids=lambda odd: "",
)
def test_other_nodes_stay_as_they_are(odd: Any) -> None:
    data = with_node(odd)
    assert slimmed(data) == (data, bytearray(data))


def test_fields_behind_the_weights_are_kept() -> None:
    data = model(tensor(doc_string="why"))
    assert data.index(b"why") > data.index(tensor().raw_data)
    small, original = slimmed(data)
    assert rejoined(small, original) == onnx.load_model_from_string(data)


def test_weights_without_room_to_move_stay_where_they_are() -> None:
    """Raw data first: six bytes of header, of which an odd place may need seven."""
    raw = tensor(TensorProto.DOUBLE, 16)
    rest = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[16]).SerializeToString()
    for padding in range(8):
        first = TensorProto(raw_data=raw.raw_data).SerializeToString() + rest
        graph = b"\x12" + bytes([padding]) + b"g" * padding + b"\x2a" + varint(len(first)) + first
        data = b"\x08\x0a\x3a" + varint(len(graph)) + graph
        small, original = slimmed(data)
        assert lent(data) == ["w"]
        assert rejoined(small, original) == onnx.load_model_from_string(data)


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80, value >> 7])


def test_external_data_gets_the_new_names() -> None:
    outside = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("offset", "8"), ("length", "16")):
        entry = outside.external_data.add()
        entry.key, entry.value = key, value
    data = bytearray(model(outside))
    slim = SlimGraph(memoryview(data), "whole", {"w.bin": "second"})
    small = bytearray(slim.size)
    slim.write(memoryview(small))
    found = onnx.load_model_from_string(bytes(small)).graph.initializer[0]
    assert not slim.lends
    assert entries(found) == {"location": "second", "offset": "8", "length": "16"}


def test_nothing_is_changed_before_the_small_graph_is_written() -> None:
    data = model(tensor(name="ww"), tensor(name="www"))
    original = bytearray(data)
    SlimGraph(memoryview(original), "whole", {})
    assert original == data


@pytest.mark.parametrize(
    "data", [b"\xff" * 20, b"\x3a\x05ab", b"\x38\x01", b"\x3a\x02\x28\x01", b"", model() * 2]
)
def test_what_is_no_model_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        SlimGraph(memoryview(bytearray(data)), "whole", {})
