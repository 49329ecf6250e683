"""What ExecuTorch programs say of their inputs; the runtime itself is tried where it is installed."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest

from modelkeep.contract import TensorContract
from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UsageError
from modelkeep.formats.executorch import default_method, read_methods
from modelkeep.model import from_memory
from modelkeep.payload.source import MemorySource
from modelkeep.runtimes.executorch import ExecuTorchRuntime
from modelkeep.runtimes.registry import LoadedModel
from support.executorch_programs import method, program, tensor

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


def only(*values: Any, name: str = "forward") -> bytes:
    return program(method(name, values, range(len(values))))


def test_an_exported_program_says_what_each_method_takes() -> None:
    methods = read_methods(memoryview(EXPORTED))
    assert set(methods) == {"forward", "encode"}
    bounded = {"shape": (None, None), "maximum_bytes": 48}
    assert methods["forward"].contract.inputs == (
        TensorContract("input_0", "float32", **bounded),  # type: ignore[arg-type]
        TensorContract("input_1", "float32", **bounded),  # type: ignore[arg-type]
    )
    assert [each.shape for each in methods["encode"].contract.inputs] == [(2,), (2,)]
    assert methods["forward"].outputs == 1
    assert methods["forward"].orders == ((0, 1), (0, 1))


def test_a_program_is_sealed_with_an_entry_for_each_method() -> None:
    model = from_memory("net.pte", MemorySource(memoryview(EXPORTED)), memoryview(EXPORTED))
    assert model.format == "executorch"
    assert [each.name for each in model.entries] == ["net.pte#forward", "net.pte#encode"]


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (tensor([2, 3]), "float32", (2, 3)),
        (tensor([], element=11), "bool", ()),
        (tensor([5], element=15), "bfloat16", (5,)),
        (tensor([2, 3], dynamism=2), "float32", (None, None)),
        (tensor([4], element=29, location=0), "uint64", (4,)),
    ],
)
def test_inputs_are_what_the_file_says(value: Any, dtype: str, shape: tuple[int | None, ...]) -> None:
    (found,) = read_methods(memoryview(only(value)))["forward"].contract.inputs
    assert (found.name, found.dtype, found.shape) == ("input_0", dtype, shape)


def test_the_order_in_memory_and_the_backends_are_known() -> None:
    described = read_methods(
        memoryview(program(method("run", [tensor([1, 3, 8, 8], order=bytes((0, 2, 3, 1)))], [0], "A", "B")))
    )
    assert default_method(described) == "run"
    assert described["run"].orders == ((0, 2, 3, 1),)
    assert described["run"].backends == {"A", "B"}


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", MalformedError, "identifier"),
        (b"\0\0\0\0ET12", MalformedError, "flatbuffers"),
        (program(), MalformedError, "no methods"),
        (only(tensor([1]), name=""), MalformedError, "name"),
        (program(*[method("a", [tensor([1])], [0])] * 2), MalformedError, "taken"),
        (only(tensor([-1])), MalformedError, "shape"),
        (only(tensor([1], dynamism=3)), MalformedError, "shape"),
        (only(tensor([2**31 - 1] * 4)), MalformedError, "impossibly large"),
        (only(tensor([2**31 - 1] * 4, dynamism=1)), MalformedError, "impossibly large"),
        (only(tensor([1, 2], order=bytes((0, 0)))), MalformedError, "order"),
        (program(method("forward", [tensor([1])], [1])), MalformedError, "beyond"),
        (only(tensor([1], element=12)), UsageError, "number 12"),
        (only({}), UsageError, "not a tensor"),
        (only(tensor([1], location=1)), UsageError, "other files"),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(content: bytes, kind: type[KeepError], words: str) -> None:
    with pytest.raises(kind, match=words):
        read_methods(memoryview(content))


def load(content: bytes, **options: object) -> None:
    model = LoadedModel("executorch", "m.pte", {"m.pte": memoryview(content)}, {"m.pte": content})
    ExecuTorchRuntime.load(model, options)


def test_backends_that_may_write_files_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UsageError, match="CoreMLBackend"):
        load(program(method("forward", [tensor([1])], [0], "CoreMLBackend")))
    with pytest.raises(UsageError, match="no option"):
        load(EXPORTED, verification="none")


def test_without_the_package_the_extra_is_named() -> None:
    try:
        import executorch  # noqa: F401
    except ImportError:
        with pytest.raises(RuntimeMissingError) as refused:
            ExecuTorchRuntime.require()
        assert "modelkeep[executorch]" in str(refused.value.hint)
