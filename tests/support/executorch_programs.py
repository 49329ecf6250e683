"""ExecuTorch programs: exported by its own package where that is installed, and written by hand."""

from __future__ import annotations

import base64
import importlib
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

flatbuffers: Any = importlib.import_module("flatbuffers")  # has no type hints

# Exported by ExecuTorch 1.5.1: x + y of at most 4 rows and 3 columns, and a method "encode" for two integers.
EXPORTED = zlib.decompress(
    base64.b85decode(
        "c-rk$J#Q015FOiRa~KyUM8-vm(<uc-gdF4oEXqVmL4lAvV-e#!gwg42IcEWaP*S^~;76oLks=jU3QB$eB?Z3$TP$z("
        "=Hks_B8ZS^SnGMcvpa9zemt)c(RO?D7CNd@9p9_yE98=co<~IMK*PXvrj&y|M~lY4UBJ<wMau*43#4Oj=SneGQ}7Tt"
        "01km;-~=Q)g)}E?Q>zB^9Dh@aYgGU&r{N@_%jkPa7`IxzATZWGLrq?HSCGZu%~B2y?atHv6pcCs(Vn;Jo3V`R2#A0i"
        "GCr84H7Q@h89G$5&Z;^;tzCShl;Y{^tm|pK^Z;wJdYqgWZq{|*$p2vEbMBhte};yJp?MjHUR$go@4CKyty$mVC9265"
        "ZQdsGcF*B$i?%J`4$#@$@Lu`J%TegJym%5t8=l`E#!2`hF#=BqQ7{hUM|-2Nk8r2E-{m)wv-17NlR=aW;=P;6WE6$|"
        "87`m6{AFx^E&mVnUvSs^OLrR#`iUjB)AfHv!AFN1BziI&Kktp%4K=*Yb@FhFb;I8^@%C*2-|GqR5%>gr#ra2;9~*SG"
        "WgfWq{r5as)mi0J4Q0vM5@dW$yz8ozaOI!HmAQ-hl=t>p_RQn9TKKeL`E-Oi?Zx5>t<Y7iGWDE;@xrUx7fwm<CCkrQ"
        "I$Y#l5&fobEpItfi7n?S<2+N2OxG%1`$?D0`30QbIl5d!*MHCcThH?Q3FH1S2#J0GwL5AW"
    )
)


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


# A table is its fields by number. Text, vectors of it, of tables and of 32-bit integers lie elsewhere.
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
    return written({0: Scalar("Uint32", 0), 1: list(methods)}, b"ET12")


def written(root: Mapping[int, Any], identifier: bytes) -> bytes:
    """Returns a file of tables, with each text once."""
    builder = flatbuffers.Builder(256)
    builder.Finish(_write(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def _write(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return int(builder.CreateSharedString(value))
    if isinstance(value, bytes):
        return int(builder.CreateByteVector(value))
    if isinstance(value, Mapping):
        return _table(builder, value)
    places = [_write(builder, each) if isinstance(each, Mapping | str) else each for each in value]
    elsewhere = any(isinstance(each, Mapping | str) for each in value)
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place) if elsewhere else builder.PrependInt32(place)
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
