"""What a runtime adapter must do, as checks to run against the real thing.

import pytest
from modelkeep.testing.runtimes import RUNTIME_CHECKS, RuntimeCheck, RuntimeSubject

@pytest.fixture
def subject():
    inputs = {"x": np.ones((2, 8), np.float32)}
    return RuntimeSubject(AcmeRuntime, "acme", {"net.acme": model}, inputs, plain_run(model, inputs))

@pytest.mark.parametrize("check", RUNTIME_CHECKS, ids=lambda check: check.__name__)
def test_runtime_conforms(check: RuntimeCheck, subject: RuntimeSubject) -> None:
    check(subject)
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelkeep.errors import KeepError, RuntimeMissingError, UsageError
from modelkeep.memory import Memory
from modelkeep.runtimes.loading import allocate, loaded_model
from modelkeep.runtimes.registry import Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

THREADS, TIMES = 4, 8
UNKNOWN_OPTION = "no_such_option_of_any_runtime"


@dataclass(frozen=True, slots=True)
class RuntimeSubject:
    """An adapter and a model, as the adapter's author presents them to the checks.

    Attributes:
        runtime: the adapter.
        format: format of the model.
        files: path -> content; the first one is the main file.
        inputs: what the model takes, name -> array.
        outputs: what the runtime without modelkeep computes from that, name -> array.
        options: makes the options for one load; a plain run with the same ones gave `outputs`.
    """

    runtime: type[Runtime]
    format: str
    files: Mapping[str, bytes] = field(repr=False)
    inputs: Mapping[str, NDArray[Any]] = field(repr=False)
    outputs: Mapping[str, NDArray[Any]] = field(repr=False)
    options: Callable[[], Mapping[str, object]] = dict


RuntimeCheck = Callable[[RuntimeSubject], None]


def computes_what_a_plain_run_computes(subject: RuntimeSubject) -> None:
    """The outputs equal those of the runtime alone, bit for bit, at first and again."""
    with _loaded(subject) as runner:
        _computes(runner, subject)
        _computes(runner, subject)


def keeps_what_it_does_not_borrow(subject: RuntimeSubject) -> None:
    """Files that the runner has not borrowed can be wiped."""
    with _held(subject) as memory, contextlib.closing(_load(subject, memory)) as runner:
        assert runner.borrowed <= subject.files.keys(), "it borrows files that the model does not have"
        for path in subject.files.keys() - runner.borrowed:
            memory[path].close()
        _computes(runner, subject)


def leaves_inputs_alone(subject: RuntimeSubject) -> None:
    """Inputs may be read-only and scattered in memory, and are not changed."""
    import numpy as np

    scattered = {name: _scattered(value) for name, value in subject.inputs.items()}
    with _loaded(subject) as runner:
        _computes(runner, replace(subject, inputs=scattered))
    assert all(np.array_equal(scattered[name], value) for name, value in subject.inputs.items())


def gives_outputs_away(subject: RuntimeSubject) -> None:
    """Outputs belong to the caller: later runs and closing do not touch them."""
    with _loaded(subject) as runner:
        outputs = runner.run(subject.inputs)
        runner.run({name: value[::-1] for name, value in subject.inputs.items()})
    _assert_same(outputs, subject.outputs)


def serves_threads(subject: RuntimeSubject) -> None:
    """Several threads may run one model at once."""
    with _loaded(subject) as runner, ThreadPoolExecutor(THREADS) as pool:
        for outputs in pool.map(lambda _: runner.run(subject.inputs), range(THREADS * TIMES)):
            _assert_same(outputs, subject.outputs)


def serves_several_models(subject: RuntimeSubject) -> None:
    """The same model twice: the end of one does not disturb the other."""
    with _loaded(subject) as second:
        with _loaded(subject) as first:
            _computes(first, subject)
        _computes(second, subject)


def closes_for_good(subject: RuntimeSubject) -> None:
    """A closed runner says so, and closing it again is harmless."""
    with _loaded(subject) as runner:
        runner.close()
        runner.close()
        _refuses(UsageError, "a run after close", lambda: runner.run(subject.inputs))
        _refuses(UsageError, "`native` after close", lambda: runner.native)


def survives_wrong_inputs(subject: RuntimeSubject) -> None:
    """Missing, foreign and ill-formed inputs are refused in our words; right ones work afterwards."""
    with _loaded(subject) as runner:
        for what, inputs in _wrong_inputs(subject.inputs).items():
            _refuses(KeepError, what, lambda inputs=inputs: runner.run(inputs))  # type: ignore[misc]
            _computes(runner, subject)


def refuses_damaged_models(subject: RuntimeSubject) -> None:
    """A main file that is empty, cut off or something else is refused in our words."""
    entry = next(iter(subject.files))
    content = subject.files[entry]
    damages = {
        "an empty file": b"",
        "its first byte": content[:1],
        "its first half": content[: len(content) // 2],
        "zeros": b"\0" * len(content),
        "some text": b"text" * 50,
    }
    for what, damaged in damages.items():
        broken = replace(subject, files={**subject.files, entry: damaged})
        with _held(broken) as memory:
            _refuses(KeepError, what, lambda memory=memory, broken=broken: _load(broken, memory))  # type: ignore[misc]


def refuses_unknown_options(subject: RuntimeSubject) -> None:
    """An option that the runtime does not have is an error, not a silence."""
    odd = replace(subject, options=lambda: {**subject.options(), UNKNOWN_OPTION: 1})
    with _held(odd) as memory:
        _refuses(UsageError, "an unknown option", lambda: _load(odd, memory))


def writes_no_files(subject: RuntimeSubject) -> None:
    """Nothing appears in the working directory, in the home directory or where caches are kept."""
    with _strange_place() as folder:
        with _loaded(subject) as runner:
            _computes(runner, subject)
        found = [path.name for path in folder.rglob("*")]
    assert not found, f"it wrote {found}"


def names_what_it_is(subject: RuntimeSubject) -> None:
    """The adapter has a name and formats, and is installed, or says what to install."""
    assert subject.runtime.name, "it has no name"
    assert subject.format in subject.runtime.formats, "it does not list the format of its own model"
    with contextlib.suppress(RuntimeMissingError):
        subject.runtime.require()


RUNTIME_CHECKS: tuple[RuntimeCheck, ...] = (
    names_what_it_is,
    computes_what_a_plain_run_computes,
    keeps_what_it_does_not_borrow,
    leaves_inputs_alone,
    gives_outputs_away,
    serves_threads,
    serves_several_models,
    closes_for_good,
    survives_wrong_inputs,
    refuses_damaged_models,
    refuses_unknown_options,
    writes_no_files,
)


@contextmanager
def _held(subject: RuntimeSubject) -> Iterator[dict[str, Memory]]:
    entry = next(iter(subject.files))
    with ExitStack() as stack:
        memory = {}
        for path, content in subject.files.items():
            memory[path] = stack.enter_context(allocate(subject.runtime, entry, path, len(content)))
            memory[path].view[:] = content
        yield memory


def _load(subject: RuntimeSubject, memory: Mapping[str, Memory]) -> Runner:
    model = loaded_model(subject.format, next(iter(subject.files)), memory)
    return subject.runtime.load(model, subject.options())


@contextmanager
def _loaded(subject: RuntimeSubject) -> Iterator[Runner]:
    with _held(subject) as memory, contextlib.closing(_load(subject, memory)) as runner:
        yield runner


def _computes(runner: Runner, subject: RuntimeSubject) -> None:
    _assert_same(runner.run(subject.inputs), subject.outputs)


def _assert_same(outputs: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    assert outputs.keys() == expected.keys(), f"the outputs are called {sorted(outputs)}"
    for name, value in expected.items():
        found = outputs[name]
        assert found.dtype == value.dtype, f"output {name} is of type {found.dtype}"
        assert found.shape == value.shape, f"output {name} has the shape {found.shape}"
        assert found.tobytes() == value.tobytes(), f"output {name} differs from that of a plain run"


def _refuses(kind: type[KeepError], what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except kind:
        return
    raise AssertionError(f"{what}: not refused; expected {kind.__name__}")


def _scattered(value: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    scattered = np.repeat(value, 2, axis=-1)[..., ::2] if value.ndim else value.copy()
    scattered.flags.writeable = False
    return scattered


def _wrong_inputs(inputs: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    import numpy as np

    name, value = next(iter(inputs.items()))
    wider = np.concatenate([value, value], axis=-1) if value.ndim else np.stack([value, value])
    wrong: dict[str, object] = {
        "None as an input": None,
        "a number as an input": 1,
        "text as an input": "text",
        "an input that is too wide": wider,
        "complex numbers": value.astype("complex128"),
    }
    return {
        "no input": {},
        "an input that the model does not have": {**inputs, "no such input": value},
        **{what: {**inputs, name: each} for what, each in wrong.items()},
    }


@contextmanager
def _strange_place() -> Iterator[Path]:
    """Makes an empty folder the working directory, the home and the place for caches."""
    before, names = Path.cwd(), ("HOME", "XDG_CACHE_HOME", "TMPDIR")
    kept = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(dict.fromkeys(names, folder))
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)
            for name, value in kept.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
