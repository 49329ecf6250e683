"""ExecuTorch programs: exported by its own package where that is installed, and written by hand."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

flatbuffers: Any = importlib.import_module("flatbuffers")  # has no type hints


def exported(module: Any, example: Any, *, lowered: bool) -> bytes:
    """Returns the program of a PyTorch module; `lowered` for XNNPACK, else for portable operators."""
    torch: Any = importlib.import_module("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exir: Any = importlib.import_module("executorch.exir")
        graph = torch.export.export(module.eval(), (example,))
        if not lowered:
            return bytes(exir.to_edge(graph).to_executorch().buffer)
        xnnpack: Any = importlib.import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
        edge = exir.to_edge_transform_and_lower(graph, partitioner=[xnnpack.XnnpackPartitioner()])
        return bytes(edge.to_executorch().buffer)


def plain_run(program: bytes, example: Any) -> Any:
    """Returns what the package itself computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runtime: Any = importlib.import_module("executorch.runtime").Runtime.get()
    return runtime.load_program(program).load_method("forward").execute((example,))[0].numpy()


class Scalar(NamedTuple):
    """A number within a table, by its method of the builder."""

    kind: str
    value: int


# A table is its fields by number. Text, vectors of tables and vectors of 32-bit integers lie elsewhere.
Written = Scalar | str | Sequence[Any] | Mapping[int, Any]


def tensor(sizes: Sequence[int], *, element: int = 6, dynamism: int = 0, **more: Any) -> dict[int, Any]:
    """Returns a value that is a tensor; `more` is ``order`` (bytes) and ``location``."""
    fields: dict[int, Any] = {0: Scalar("Int8", element), 2: list(sizes), 8: Scalar("Int8", dynamism)}
    if "order" in more:
        fields[3] = more["order"]
    if "location" in more:
        fields[9] = {2: Scalar("Int8", more["location"])}
    return {0: Scalar("Uint8", 5), 1: fields}


def method(name: str, values: Sequence[Any], inputs: Sequence[int], *backends: str) -> dict[int, Any]:
    """Returns a method that gives its first value."""
    return {0: name, 2: values, 3: list(inputs), 4: [0], 7: [{0: each} for each in backends]}


def program(*methods: Any) -> bytes:
    """Returns a program that computes nothing."""
    builder = flatbuffers.Builder(256)
    builder.Finish(_write(builder, {0: Scalar("Uint32", 0), 1: list(methods)}), file_identifier=b"ET12")
    return bytes(builder.Output())


def _write(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, bytes):
        return int(builder.CreateByteVector(value))
    if isinstance(value, Mapping):
        return _table(builder, value)
    places = [_write(builder, each) if isinstance(each, Mapping) else each for each in value]
    tables = any(isinstance(each, Mapping) for each in value)
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place) if tables else builder.PrependInt32(place)
    return int(builder.EndVector())


def _table(builder: Any, fields: Mapping[int, Any]) -> int:
    places = {n: each if isinstance(each, Scalar) else _write(builder, each) for n, each in fields.items()}
    builder.StartObject(max(fields, default=0) + 1)
    for number, place in places.items():
        if isinstance(place, Scalar):
            getattr(builder, f"Prepend{place.kind}Slot")(
                number, place.value, -128 if place.kind == "Int8" else None
            )
        else:
            builder.PrependUOffsetTRelativeSlot(number, place, 0)
    return int(builder.EndObject())
