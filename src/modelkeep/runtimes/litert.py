"""LiteRT (TensorFlow Lite). It computes on the decrypted bytes, which it does not copy."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.formats.tflite import DEFAULT_FUNCTION, IDENTIFIER
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.messages import LESS_MEMORY, first_line, lacks_memory, run_error
from modelkeep.runtimes.package import imported
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[litert]'"
_OURS = frozenset({"model_path", "model_content"})
# What LiteRT says when a model is sound but it lacks an operator, or an operator's version.
_TOO_OLD = ("unresolved custom op", "Didn't find op for builtin opcode", "unsupported version")


class LiteRtRuntime(Runtime):
    """Loads LiteRT models (``.tflite``).

    Options are those of `ai_edge_litert.interpreter.Interpreter`. Without a delegate nothing is
    cached in files; a delegate does what its own options say, so load it without a cache.
    """

    name: ClassVar[str] = "litert"
    formats: ClassVar[frozenset[str]] = frozenset({"tflite"})

    @classmethod
    def require(cls) -> None:
        """Imports ai_edge_litert.

        Raises:
            RuntimeMissingError: it is not installed.
        """
        _interpreter_class()

    @classmethod
    def wants_bytes(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is the model: of all memory, LiteRT takes only `bytes`."""
        return path == entry

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> LiteRtRunner:
        """See `Runtime.load`."""
        ours = sorted(_OURS & options.keys())
        if ours:
            raise UsageError(f"{ours[0]} is not an option here", hint="the sealed model is the content")
        content = model.as_bytes(model.entry)
        # Said here, because LiteRT takes an empty model for a missing argument.
        if content[4:8] != IDENTIFIER:
            raise MalformedError("not a LiteRT model: its identifier is missing")
        try:
            with freed_memory_overwritten():
                interpreter = _interpreter_class()(model_content=content, **options)
                interpreter.allocate_tensors()
        except Exception as error:
            raise _load_error(error) from error
        return LiteRtRunner(interpreter, model.entry, model.function)


class LiteRtRunner(Runner):
    """A loaded LiteRT model. Runs one after the other: an interpreter has one set of tensors."""

    def __init__(self, interpreter: Any, entry: str, function: str | None) -> None:
        self.borrowed = frozenset({entry})
        self._interpreter = interpreter
        self._lock = threading.Lock()
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._signature = _signature_runner(interpreter, function)
        self._inputs: Mapping[str, Any] = (
            {each["name"]: each for each in interpreter.get_input_details()}
            if self._signature is None
            else self._signature.get_input_details()
        )

    @property
    def native(self) -> Any:
        """The `ai_edge_litert.interpreter.Interpreter`; it ends with this runner.

        While it is used, no `run` may be under way: an interpreter serves one thread.
        """
        if self._interpreter is None:
            raise UsageError("the model is closed")
        return self._interpreter

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """See `Runner.run`. Inputs and outputs are named as in the model's signature, if it has one."""
        interpreter = self.native
        self._check(inputs)
        shapes = {name: value.shape for name, value in inputs.items()}
        with self._lock:
            # With other shapes it arranges the weights anew, and frees what it had.
            resizing = nullcontext() if shapes == self._shapes else freed_memory_overwritten()
            try:
                with resizing:
                    return self._computed(interpreter, inputs)
            except Exception as error:
                raise run_error("LiteRT", error) from error
            finally:
                self._shapes = shapes

    def _computed(self, interpreter: Any, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        if self._signature is not None:
            return dict(self._signature(**inputs))
        return self._run_tensors(interpreter, inputs)

    def close(self) -> None:
        """See `Runner.close`."""
        if self._interpreter is None:
            return
        interpreter, self._interpreter, self._signature = self._interpreter, None, None
        with freed_memory_overwritten():
            # Emptied for those who still hold it: the bytes that it computes on are about to go.
            vars(interpreter).clear()

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        if inputs.keys() != self._inputs.keys():
            raise UsageError(f"the model takes other inputs: {', '.join(self._inputs) or 'none'}")
        for name, details in self._inputs.items():
            shape = getattr(inputs[name], "shape", None)
            if shape is None or not _fits(shape, details):
                wanted = [None if length < 0 else int(length) for length in _lengths(details)]
                raise UsageError(f"input {name!r} must be an array of shape {wanted}")

    def _run_tensors(self, interpreter: Any, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        for name, value in inputs.items():
            interpreter.resize_tensor_input(self._inputs[name]["index"], value.shape)
        interpreter.allocate_tensors()
        for name, value in inputs.items():
            interpreter.set_tensor(self._inputs[name]["index"], value)
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        return {output["name"]: interpreter.get_tensor(output["index"]) for output in outputs}


def _interpreter_class() -> Any:
    return imported("ai_edge_litert.interpreter", "ai-edge-litert", _HINT).Interpreter


def _signature_runner(interpreter: Any, function: str | None) -> Any:
    """Returns what runs a function, which LiteRT calls a signature, or by default the usual one."""
    signatures = interpreter.get_signature_list()
    first = DEFAULT_FUNCTION if DEFAULT_FUNCTION in signatures else next(iter(signatures), None)
    key = first if function is None else function
    if key is not None and key not in signatures:
        raise MalformedError(f"the model has no signature {key!r}")
    return None if key is None else interpreter.get_signature_runner(key)


def _lengths(details: Mapping[str, Any]) -> Any:
    free = details["shape_signature"]
    return free if len(free) == len(details["shape"]) else details["shape"]


def _fits(shape: tuple[int, ...], details: Mapping[str, Any]) -> bool:
    lengths = _lengths(details)
    return len(shape) == len(lengths) and all(
        length in (-1, given) for given, length in zip(shape, lengths, strict=True)
    )


def _load_error(error: Exception) -> KeepError:
    message = f"LiteRT cannot load the model: {first_line(error)}"
    if any(words in str(error) for words in _TOO_OLD):
        return RuntimeMissingError(message, hint="pip install -U ai-edge-litert, or pass a delegate")
    if isinstance(error, TypeError):
        return UsageError(message, hint="options are those of ai_edge_litert.interpreter.Interpreter")
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    return MalformedError(message)
