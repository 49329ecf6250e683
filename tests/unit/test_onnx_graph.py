from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelkeep.contract import DEFAULT_MAXIMUM_BYTES, Contract, TensorContract
from modelkeep.errors import KeepError, MalformedError, UsageError
from modelkeep.formats.onnx_graph import external_files, external_path, is_model, is_onnx, read_contract
from modelkeep.formats.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, fields

FLOAT = TensorProto.FLOAT


def model_of(graph: Any, **more: Any) -> Any:
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)], **more)


def model(
    inputs: Sequence[Any] = (), initializers: Sequence[Any] = (), nodes: Sequence[Any] = (), **more: Any
) -> Any:
    return model_of(helper.make_graph(nodes, "g", inputs, [], initializers, **more))


def tensor_input(name: str, element: int = FLOAT, shape: Any = (1,)) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


def external(location: str, name: str = "w") -> Any:
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in (("offset", "0"), ("location", location)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def contract(proto: Any) -> Contract:
    return read_contract(memoryview(proto.SerializeToString()))


def locations(proto: Any) -> tuple[str, ...]:
    return external_files(memoryview(proto.SerializeToString()))


def test_names_types_and_dimensions_come_out_in_model_order() -> None:
    inputs = [
        tensor_input("image", FLOAT, ["batch", 3, None, 0]),
        tensor_input("any", TensorProto.INT64, None),
        tensor_input("scalar", TensorProto.BOOL, []),
        tensor_input("text", TensorProto.STRING, [1]),
    ]
    assert contract(model(inputs)) == Contract(
        (
            TensorContract("image", "float32", (None, 3, None, 0)),
            TensorContract("any", "int64", None),
            TensorContract("scalar", "bool", ()),
            TensorContract("text", "string", (1,)),
        )
    )


@pytest.mark.parametrize("element", range(1, 21))
def test_element_types_have_numpys_names(element: int) -> None:
    (tensor,) = contract(model([tensor_input("x", element)])).inputs
    expected = helper.tensor_dtype_to_np_dtype(element)
    assert tensor.dtype == ("string" if element == TensorProto.STRING else expected.name)


def with_initializers(ir_version: int) -> Any:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "s"), numpy_helper.from_array(np.array([0])), [4]
    )
    dense = numpy_helper.from_array(np.ones(1, np.float32), "w")
    proto = model([tensor_input(name) for name in "xws"], [dense], sparse_initializer=[sparse])
    proto.ir_version = ir_version
    return proto


def test_inputs_with_an_initializer_have_a_default_value() -> None:
    found = contract(with_initializers(4))
    assert [tensor.name for tensor in found.inputs] == ["x"]
    assert [tensor.name for tensor in found.defaults] == ["w", "s"]
    assert all(tensor.optional for tensor in found.defaults)


def test_before_version_4_they_are_constants() -> None:
    assert contract(with_initializers(3)).defaults == ()


def test_a_default_that_cannot_be_described_is_not_offered() -> None:
    dense = numpy_helper.from_array(np.ones(1, np.float32), "w")
    proto = model([tensor_input("x"), tensor_input("w", TensorProto.INT4)], [dense])
    assert contract(proto).defaults == ()


def test_negative_lengths_are_free() -> None:
    (tensor,) = contract(model([tensor_input("x", FLOAT, [-1, -2, 3])])).inputs
    assert tensor.shape == (None, None, 3)


def test_a_model_without_inputs_has_an_empty_contract() -> None:
    assert contract(model()) == Contract(())


def test_a_large_fixed_input_raises_its_own_size_limit() -> None:
    (small, large) = contract(
        model([tensor_input("a"), tensor_input("b", TensorProto.DOUBLE, [None, 2**26])])
    ).inputs
    assert (small.maximum_bytes, large.maximum_bytes) == (DEFAULT_MAXIMUM_BYTES, 2**29)


def tensor_type(element: int = FLOAT, shape: Any = (1,)) -> Any:
    return helper.make_tensor_type_proto(element, shape)


WORDS = helper.make_map_type_proto(TensorProto.STRING, tensor_type(FLOAT, None))
ONE = TensorContract("x", "float32", (1,))
OF_WORDS = TensorContract("x", "float32", (), keys="string")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (helper.make_sequence_type_proto(tensor_type()), replace(ONE, sequence=True)),
        (WORDS, OF_WORDS),
        (helper.make_sequence_type_proto(WORDS), replace(OF_WORDS, sequence=True)),
        (helper.make_optional_type_proto(tensor_type()), replace(ONE, optional=True)),
        (
            helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor_type())),
            replace(ONE, optional=True, sequence=True),
        ),
    ],
    ids=["sequence", "map", "sequence of maps", "optional", "optional sequence"],
)
def test_inputs_that_are_more_than_tensors(kind: Any, expected: TensorContract) -> None:
    assert contract(model([helper.make_value_info("x", kind)])).inputs == (expected,)


@pytest.mark.parametrize(
    "kind",
    [
        helper.make_sparse_tensor_type_proto(FLOAT, [1]),
        helper.make_sequence_type_proto(helper.make_sequence_type_proto(tensor_type())),
        helper.make_sequence_type_proto(helper.make_optional_type_proto(tensor_type())),
        helper.make_map_type_proto(TensorProto.INT32, tensor_type()),
        helper.make_map_type_proto(TensorProto.INT64, WORDS),
    ],
    ids=["sparse", "sequences", "optional values", "int32 keys", "maps in a map"],
)
def test_inputs_that_no_contract_describes_cannot_be_sealed(kind: Any) -> None:
    with pytest.raises(UsageError, match="which cannot be checked") as caught:
        contract(model([helper.make_value_info("x", kind)]))
    assert "--format files" in str(caught.value.hint)


def test_types_nest_only_so_deep() -> None:
    kind = tensor_type()
    for _ in range(20):
        kind = helper.make_optional_type_proto(kind)
    with pytest.raises(UsageError, match="nested too deep"):
        contract(model([helper.make_value_info("x", kind)]))


@pytest.mark.parametrize(
    "kind",
    [b"\x22\x00", b"\x4a\x00", b"\x2a\x02\x08\x08", b"\x0a\x02\x08\x01" * 2, b""],
    ids=["sequence", "optional", "map", "twice", "none"],
)
def test_types_without_what_they_are_of_are_malformed(kind: bytes) -> None:
    with pytest.raises(MalformedError):
        read_contract(raw_input(raw(1, b"x") + raw(2, kind)))


def test_what_reads_as_a_model_is_one() -> None:
    assert is_model(memoryview(model([tensor_input("x")]).SerializeToString()))
    for data in (b"", b"text that is no model", model([]).graph.SerializeToString(), bytes(64)):
        assert not is_model(memoryview(data))


@pytest.mark.parametrize(
    ("element", "name"), [(0, "number 0"), (TensorProto.INT4, "int4"), (9999, "number 9999")]
)
def test_element_types_that_cannot_be_checked_are_refused(element: int, name: str) -> None:
    with pytest.raises(UsageError, match=f"input 'x' has elements of type {name}"):
        contract(model([tensor_input("x", element)]))


def edited(edit: Callable[[Any], object]) -> Any:
    proto = model([tensor_input("x", FLOAT, [2, "n"])])
    edit(proto.graph.input[0])
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        onnx.ModelProto(ir_version=10),
        model([tensor_input("x"), tensor_input("x")]),
        model([tensor_input("")]),
        edited(lambda value: value.ClearField("type")),
        edited(lambda value: setattr(value.type.tensor_type.shape.dim[0], "dim_value", 2**62)),
        model([tensor_input("x", FLOAT, [2**30, 2**30])]),
    ],
    ids=["no graph", "duplicate", "unnamed", "untyped", "huge", "huge product"],
)
def test_models_that_contradict_themselves_are_malformed(proto: Any) -> None:
    with pytest.raises(MalformedError):
        contract(proto)


def raw(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | BYTES, len(payload)]) + payload


def raw_input(value_info: bytes) -> memoryview:
    return memoryview(raw(7, raw(11, value_info)))


@pytest.mark.parametrize(
    "data",
    [
        memoryview(b"\x38\x01"),
        raw_input(b"\x08\x01"),
        raw_input(raw(1, b"\xff")),
        raw_input(raw(1, b"x") + raw(2, raw(1, raw(1, b"")))),
        raw_input(raw(1, b"x") + raw(2, raw(1, b"\x08\x01" + raw(2, raw(1, b"\x08\x02" + raw(2, b"n")))))),
        memoryview(raw(7, raw(15, b""))),
    ],
    ids=["graph", "name", "text", "element", "named and fixed", "sparse without values"],
)
def test_what_no_exporter_writes_is_malformed(data: memoryview) -> None:
    with pytest.raises(MalformedError):
        read_contract(data)


def test_repeated_graphs_are_refused_because_parsers_merge_them() -> None:
    data = model([tensor_input("x")]).SerializeToString()
    graph_only = onnx.ModelProto(graph=model([tensor_input("y")]).graph).SerializeToString()
    with pytest.raises(MalformedError, match="more than once"):
        read_contract(memoryview(data + graph_only))


def test_external_locations_are_sorted_and_unique() -> None:
    initializers = [external("b/w.bin", "1"), external("a.bin", "2"), external("b/w.bin", "3")]
    inside = numpy_helper.from_array(np.ones(1, np.float32), "4")
    assert locations(model(initializers=[*initializers, inside])) == ("a.bin", "b/w.bin")
    assert locations(model(initializers=[inside])) == ()


@pytest.mark.parametrize("location", ["/etc/passwd", "../w", "a/../../w", "..", "", "a\\..\\w", "a\0b"])
def test_locations_outside_the_model_are_malformed(location: str) -> None:
    with pytest.raises(MalformedError, match="leaves the model's folder"):
        locations(model(initializers=[external(location)]))


def test_external_data_needs_one_location() -> None:
    missing, twice = external("w"), external("w")
    del missing.external_data[1]
    twice.external_data.append(twice.external_data[1])
    for tensor in (missing, twice):
        with pytest.raises(MalformedError, match="exactly one location"):
            locations(model(initializers=[tensor]))


def branch(initializers: Sequence[Any] = (), nodes: Sequence[Any] = ()) -> Any:
    return helper.make_graph(nodes, "branch", [], [], initializers)


def constant(tensor: Any) -> Any:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def conditional(graph: Any) -> Any:
    return helper.make_node("If", ["c"], ["y"], then_branch=branch(), else_branch=graph)


def with_function(node: Any) -> Any:
    proto = model()
    proto.functions.append(helper.make_function("own", "F", [], ["c"], [node], [helper.make_opsetid("", 20)]))
    return proto


def with_training(graph: Any) -> Any:
    proto = model()
    proto.training_info.add().initialization.CopyFrom(graph)
    return proto


def sparse_external() -> Any:
    return helper.make_sparse_tensor(external("w"), numpy_helper.from_array(np.array([0])), [4])


HIDDEN = {
    "attribute": model(nodes=[constant(external("w"))]),
    "attribute list": model(nodes=[helper.make_node("F", [], ["y"], tensors=[external("w")])]),
    "subgraph": model(nodes=[conditional(branch([external("w")]))]),
    "graph list": model(nodes=[helper.make_node("F", [], ["y"], graphs=[branch([external("w")])])]),
    "deep": model(nodes=[conditional(branch(nodes=[conditional(branch(nodes=[constant(external("w"))]))]))]),
    "sparse": model(sparse_initializer=[sparse_external()]),
    "sparse attribute": model(
        nodes=[helper.make_node("Constant", [], ["c"], sparse_value=sparse_external())]
    ),
    "function": with_function(constant(external("w"))),
    "training": with_training(branch([external("w")])),
}


@pytest.mark.parametrize("proto", HIDDEN.values(), ids=HIDDEN)
def test_external_data_that_a_runtime_would_read_from_disk_is_refused(proto: Any) -> None:
    with pytest.raises(UsageError, match="in another file"):
        locations(proto)


def nested_subgraphs(levels: int) -> memoryview:
    """A model whose nodes (1) have attributes (5) that are graphs (6), and so on; onnx builds fewer."""

    def field(number: int, payload: bytes) -> bytes:
        length = len(payload)
        return bytes([number << 3 | BYTES, length & 0x7F | 0x80, length >> 7]) + payload

    graph = b""
    for _ in range(levels):
        graph = field(1, field(5, field(6, graph)))
    return memoryview(field(7, graph))


def test_nesting_is_bounded() -> None:
    assert external_files(nested_subgraphs(32)) == ()
    with pytest.raises(MalformedError, match="nested too deep"):
        external_files(nested_subgraphs(33))


def test_external_paths_are_relative_to_the_model_file() -> None:
    assert external_path("net.onnx", "./w.bin") == "w.bin"
    assert external_path("sub/net.onnx", "data/w.bin") == "sub/data/w.bin"


def test_onnx_files_are_known_by_their_name() -> None:
    assert is_onnx("sub/Net.ONNX")
    assert not is_onnx("net.onnx.data")


def test_fields_point_into_the_view() -> None:
    data = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x1d1234" + b"\x2112345678" + b"\x28" + b"\xff" * 9 + b"\x01"
    assert list(fields(memoryview(data), 0, len(data))) == [
        Field(1, VARINT, 150, (1, 3), (0, 3)),
        Field(2, BYTES, 0, (5, 8), (3, 8)),
        Field(3, FIXED32, 0, (9, 13), (8, 13)),
        Field(4, FIXED64, 0, (14, 22), (13, 22)),
        Field(5, VARINT, 2**64 - 1, (23, 33), (22, 33)),
    ]


def test_positions_beyond_four_gibibytes_are_right(tmp_path: Path) -> None:
    length = 5 * 2**30
    with (tmp_path / "sparse").open("w+b") as file:
        file.write(b"\x12" + b"\x80\x80\x80\x80\x14")
        file.seek(6 + length)
        file.write(b"\x08\x07")
        file.flush()
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
            large, small = fields(view, 0, len(view))
    assert large.span == (6, 6 + length)
    assert small.value == 7


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08\x80",
        b"\x12\x05abcd",
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x1d123",
        b"\x211234567",
        b"\x00\x01",
        b"\x0b\x0c",
        b"\x0c",
        b"\x0e",
        b"\x0f",
        b"\x08" + b"\x80" * 10 + b"\x01",
        b"\x08" + b"\xff" * 9 + b"\x02",
        b"\x80\x80\x80\x80\x80\x01\x00",
    ],
    ids=bytes.hex,
)
def test_broken_fields_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        list(fields(memoryview(data), 0, len(data)))


def test_a_field_ends_with_its_message() -> None:
    data = b"\x12\x02ab"
    with pytest.raises(MalformedError):
        list(fields(memoryview(data), 0, 3))


def test_every_truncation_of_a_model_is_noticed_or_harmless() -> None:
    data = model([tensor_input("x")], [external("w")], [constant(external("w"))]).SerializeToString()
    for end in range(len(data)):
        try:
            read_contract(memoryview(data)[:end])
        except KeepError:
            continue
