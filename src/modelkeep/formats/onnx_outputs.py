"""Copies an ONNX model with one more output, without the onnx package."""

from __future__ import annotations

from collections.abc import Iterator

from modelkeep.errors import UsageError
from modelkeep.formats.onnx_graph import INITIALIZERS, initializer_names, main_graph
from modelkeep.formats.protobuf import BYTES, Field, Span, collect, encode_varint, message, text

_MODEL_GRAPH = 7
_NODE, _OUTPUT, _VALUE = 1, 12, 13  # of a graph
_NODE_INPUT, _NODE_OUTPUT, _OPERATOR = 1, 2, 4
_NAME = 1
# Layers that end a classifier; the input of the last one is what the model makes of its own input.
_DENSE = frozenset({"Gemm", "MatMul"})


def embedding_of(view: memoryview) -> str:
    """Returns the name of what the last dense layer of a model sees.

    Raises:
        MalformedError: not an ONNX model.
        UsageError: no dense layer, or none behind another node.
    """
    graph = collect(view, main_graph(view), (_NODE, *INITIALIZERS))
    inner = _made(view, graph[_NODE]) - initializer_names(view, graph)
    for node in reversed(graph[_NODE]):
        if not _DENSE.isdisjoint(_texts(view, node, _OPERATOR)):
            for name in _texts(view, node, _NODE_INPUT):
                if name in inner:
                    return name
            break
    raise UsageError(
        "the model has no dense layer that shows what it makes of its input",
        hint="name the tensor before the last layer, as a viewer of models shows it",
    )


def with_output(view: memoryview, name: str) -> Iterator[bytes | memoryview]:
    """Yields the parts of the same model with `name`, the output of one of its nodes, among its outputs.

    Raises:
        MalformedError: not an ONNX model.
        UsageError: no node gives it.
    """
    start, end = main_graph(view)
    graph = collect(view, (start, end), (_NODE, _OUTPUT, _VALUE))
    if name not in _made(view, graph[_NODE]):
        raise UsageError(f"no node of the model gives {name!r}")
    is_output = any(name in _texts(view, each, _NAME) for each in graph[_OUTPUT])
    added = b"" if is_output else _field(_OUTPUT, _value(view, graph[_VALUE], name))
    whole = collect(view, (0, len(view)), (_MODEL_GRAPH,))[_MODEL_GRAPH][0].whole
    yield view[: whole[0]]
    yield _key(_MODEL_GRAPH) + encode_varint(end - start + len(added))
    yield view[start:end]
    yield added
    yield view[whole[1] :]


def _made(view: memoryview, nodes: list[Field]) -> set[str]:
    return {name for node in nodes for name in _texts(view, node, _NODE_OUTPUT) if name}


def _value(view: memoryview, values: list[Field], name: str) -> bytes:
    """Returns what the model says about a value; runtimes find out what it leaves out."""
    for each in values:
        if name in _texts(view, each, _NAME):
            return bytes(view[slice(*each.span)])
    return _field(_NAME, name.encode())


def _texts(view: memoryview, field: Field, number: int) -> list[str]:
    span: Span = message(field, "ONNX model")
    return [text(view, each, "ONNX model: name") for each in collect(view, span, (number,))[number]]


def _field(number: int, content: bytes) -> bytes:
    return _key(number) + encode_varint(len(content)) + content


def _key(number: int) -> bytes:
    return encode_varint(number << 3 | BYTES)
