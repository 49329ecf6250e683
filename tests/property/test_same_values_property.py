"""The same values everywhere: in this process, in one of its own, and through the command line's files."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from modelkeep.arrays import read_arrays, write_arrays
from modelkeep.session import Session
from support.workshop import Workshop

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
FLOATS = st.floats(-9, 9, width=32)
NUMBERS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=4), elements=FLOATS)
TEXTS = hnp.arrays(object, st.integers(1, 4), elements=st.text("abcé 😀", max_size=4))


def tensor(element: int) -> Any:
    return helper.make_tensor_type_proto(element, None)


def sequence(kind: Any) -> Any:
    return helper.make_sequence_type_proto(kind)


def mapped(key: int, value: int) -> Any:
    return helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))


def passing(kind: Any) -> Any:
    """A model that puts out what it takes."""
    return [helper.make_node("Identity", ["x"], ["y"])], kind, kind


def classes(**labels: Any) -> Any:
    """A classifier's last step: numbers become maps from labels to numbers."""
    key = INT64 if "classlabels_int64s" in labels else STRING
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)
    return [node], helper.make_tensor_type_proto(FLOAT, ["n", 2]), sequence(mapped(key, FLOAT))


PAIRS = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(2)), elements=FLOATS)
MODELS: Mapping[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "numbers": (passing(tensor(FLOAT)), NUMBERS),
    "text": (passing(tensor(STRING)), TEXTS),
    "lists": (passing(sequence(tensor(FLOAT))), st.lists(NUMBERS, min_size=1, max_size=4)),
    "lists of text": (passing(sequence(tensor(STRING))), st.lists(TEXTS, min_size=1, max_size=3)),
    "optional": (passing(helper.make_optional_type_proto(tensor(FLOAT))), st.none() | NUMBERS),
    "maps of numbers": (classes(classlabels_int64s=[7, -9]), PAIRS),
    "maps of text": (classes(classlabels_strings=["a", "ß"]), PAIRS),
}


def model(nodes: Any, takes: Any, gives: Any) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [helper.make_value_info("x", takes)], [helper.make_value_info("y", gives)]
    )
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    data: bytes = helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()
    return data


def same(first: Any, second: Any) -> bool:
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        alike = (first.dtype, first.shape) == (second.dtype, second.shape)
        return bool(alike and first.tolist() == second.tolist())
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(
        first == second and list(first) == list(second) if isinstance(first, dict) else first == second
    )


@pytest.fixture(params=MODELS)
def everywhere(
    request: Any, workshop: Workshop
) -> Iterator[tuple[Any, st.SearchStrategy[Any], list[Session]]]:
    parts, values = MODELS[request.param]
    data = model(*parts)
    path = workshop.folder / "m.onnx"
    path.write_bytes(data)
    bundle = workshop.seal(path)
    plain = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with contextlib.ExitStack() as stack:
        sessions = [
            stack.enter_context(workshop.open(bundle, isolation=place)) for place in ("in-process", "process")
        ]
        yield plain, values, sessions


def test_in_process_isolated_and_in_files(everywhere: Any, tmp_path: Path) -> None:
    plain, values, sessions = everywhere
    numbers = itertools.count()

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(values)
    def check(value: Any) -> None:
        (expected,) = plain.run(None, {"x": value})
        stored = tmp_path / f"{next(numbers)}.npz"
        write_arrays(stored, {"x": value}, force=False)
        for given_value in (value, read_arrays(stored, None).get("x")):
            for session in sessions:
                found = session.run({"x": given_value})["y"]
                assert same(found, expected), (found, expected)
        written = tmp_path / f"{next(numbers)}.npz"
        write_arrays(written, {"y": expected}, force=False)
        assert same_in_files(read_arrays(written, None).get("y"), expected)

    check()


def same_in_files(found: Any, expected: Any) -> bool:
    """Text comes back as NumPy's own text, and not as Python objects."""
    if isinstance(expected, np.ndarray) and expected.dtype == object:
        return bool(np.array_equal(found, expected))
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same_in_files, found, expected))
    return same(found, expected)


@pytest.mark.parametrize("isolation", ["in-process", "process"])
@pytest.mark.parametrize("name", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"])
def test_element_types_that_numpy_lacks(workshop: Workshop, isolation: str, name: str) -> None:
    element = getattr(TensorProto, name)
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=FLOAT),
        helper.make_node("Cast", ["wide"], ["y"], to=element),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, ["n"])],
        [
            helper.make_tensor_value_info("y", element, ["n"]),
            helper.make_tensor_value_info("wide", FLOAT, None),
        ],
    )
    path = workshop.folder / "m.onnx"
    opset = [helper.make_opsetid("", 21)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())
    dtype = helper.tensor_dtype_to_np_dtype(element)
    assert dtype.type in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)
    value = np.array([0.5, -2, 1], dtype)
    with workshop.open(workshop.seal(path), isolation=isolation) as session:
        outputs = session.run({"x": value})
    assert outputs["y"].dtype == dtype
    assert outputs["y"].tobytes() == value.tobytes()
    assert outputs["wide"].tolist() == [0.5, -2, 1]
