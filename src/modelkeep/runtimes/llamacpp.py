"""llama.cpp. It maps the decrypted GGUF from a file in memory, which it does not copy."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UsageError
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.messages import first_line
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[llamacpp]'"
_OURS = frozenset({"model_path", "use_mmap"})
_PROMPT, _LENGTH = "prompt", "max_tokens"


class LlamaCppRuntime(Runtime):
    """Loads GGUF models of one file.

    Options are those of `llama_cpp.Llama`, except `model_path` and `use_mmap`.
    """

    name: ClassVar[str] = "llamacpp"
    formats: ClassVar[frozenset[str]] = frozenset({"gguf"})

    @classmethod
    def require(cls) -> None:
        """Imports llama_cpp.

        Raises:
            RuntimeMissingError: it is not installed.
        """
        _llama_cpp()

    @classmethod
    def wants_path(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is the model: llama.cpp opens files alone."""
        return path == entry

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> LlamaCppRunner:
        """See `Runtime.load`."""
        # Said here, because llama_cpp ignores what it does not know.
        known = inspect.signature(_llama_cpp().Llama).parameters.keys() - _OURS - {"kwargs"}
        unknown = sorted(options.keys() - known)
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} is not an option here",
                hint="options are those of llama_cpp.Llama, except model_path and use_mmap",
            )
        if bytes(model.files[model.entry][:4]) != b"GGUF":
            raise MalformedError("not a GGUF model: its identifier is missing")
        settings = {"verbose": False, **options}
        try:
            llama = _llama_cpp().Llama(model_path=model.as_path(model.entry), use_mmap=True, **settings)
        except TypeError as error:
            raise UsageError(
                f"llama.cpp: {first_line(error)}", hint="options are those of llama_cpp.Llama"
            ) from error
        except Exception as error:
            raise MalformedError(f"llama.cpp cannot load the model: {first_line(error)}") from error
        return LlamaCppRunner(llama, model.entry)


class LlamaCppRunner(Runner):
    """A language model. Runs one after the other: a model has one context."""

    def __init__(self, llama: Any, entry: str) -> None:
        self.borrowed = frozenset({entry})
        self._llama = llama
        self._lock = threading.Lock()

    @property
    def native(self) -> Any:
        """The `llama_cpp.Llama`, for everything but plain completion; it ends with this runner."""
        if self._llama is None:
            raise UsageError("the model is closed")
        return self._llama

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Completes a text, always with the likeliest token.

        Args:
            inputs: ``prompt``, an array of one string, and optionally ``max_tokens``, one integer.

        Returns:
            ``text``: an array of one string.
        """
        import numpy as np

        llama = self.native
        if not {_PROMPT} <= inputs.keys() <= {_PROMPT, _LENGTH}:
            raise UsageError("the model takes other inputs: prompt, max_tokens")
        try:
            prompt, length = (
                str(inputs[_PROMPT].item()),
                int(inputs[_LENGTH].item()) if _LENGTH in inputs else 16,
            )
            with self._lock:
                answer = llama.create_completion(prompt, max_tokens=length, temperature=0.0)
        except Exception as error:
            raise _run_error(error) from error
        return {"text": np.array(answer["choices"][0]["text"])}

    def close(self) -> None:
        """See `Runner.close`."""
        if self._llama is None:
            return
        llama, self._llama = self._llama, None
        with freed_memory_overwritten():
            llama.close()


def _llama_cpp() -> Any:
    try:
        import llama_cpp
    except ImportError as error:
        raise RuntimeMissingError("llama-cpp-python is not installed", hint=_HINT) from error
    return llama_cpp


def _run_error(error: Exception) -> KeepError:
    return UsageError(
        f"llama.cpp cannot run the model: {first_line(error)}", hint="check prompt and max_tokens"
    )
