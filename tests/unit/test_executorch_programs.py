"""What ExecuTorch programs say of their inputs; the runtime itself is tried where it is installed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from modelkeep.contract import TensorContract
from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UsageError
from modelkeep.formats.executorch import default_method, read_methods
from modelkeep.model import from_memory
from modelkeep.payload.source import MemorySource
from modelkeep.runtimes.executorch import ExecuTorchRuntime
from modelkeep.runtimes.registry import LoadedModel
from support.executorch_programs import EXPORTED, method, program, tensor


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
        (program(*[{0: str(place)} for place in range(257)]), MalformedError, "257 methods"),
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


@pytest.mark.parametrize("missing", ["torch", "executorch.extension.pybindings._C"])
def test_without_the_packages_the_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RuntimeMissingError) as refused:
        ExecuTorchRuntime.require()
    assert "modelkeep[executorch]" in str(refused.value.hint)
