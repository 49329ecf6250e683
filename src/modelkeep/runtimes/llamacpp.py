"""llama.cpp. It maps the decrypted GGUF from files in memory, which it does not copy."""

from __future__ import annotations

import inspect
import posixpath
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import KeepError, MalformedError, UsageError
from modelkeep.formats.gguf import read_parts
from modelkeep.formats.shards import gguf_parts, is_gguf_part
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.messages import first_line
from modelkeep.runtimes.package import imported
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime
from modelkeep.storage import words_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[llamacpp]'"
_OURS = frozenset({"model_path", "use_mmap"})
_PROMPT, _LENGTH = "prompt", "max_tokens"


class LlamaCppRuntime(Runtime):
    """Loads GGUF models, of one file or of several.

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
        """Returns whether `path` is of the model: llama.cpp opens files alone."""
        return is_gguf_part(entry, path)

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
        parts = gguf_parts(model.entry, read_parts(model.files[model.entry]))
        with _path_of(model, parts) as path:
            llama = _load(path, {"verbose": False, **options})
        return LlamaCppRunner(llama, parts)


class LlamaCppRunner(Runner):
    """A language model. Runs one after the other: a model has one context."""

    def __init__(self, llama: Any, parts: Sequence[str]) -> None:
        self.borrowed = frozenset(parts)
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


@contextmanager
def _path_of(model: LoadedModel, parts: Sequence[str]) -> Iterator[str]:
    """A path from which llama.cpp finds all parts: it goes by their names, which files in memory lack."""
    if len(parts) == 1:
        yield model.as_path(model.entry)
        return
    # Links alone: nothing of the model is written. llama.cpp has mapped the files when they go.
    with words_for("temporary folder"), tempfile.TemporaryDirectory(prefix="modelkeep-") as folder:
        for part in parts:
            Path(folder, posixpath.basename(part)).symlink_to(model.as_path(part))
        yield str(Path(folder, posixpath.basename(model.entry)))


def _load(path: str, options: Mapping[str, object]) -> Any:
    try:
        return _llama_cpp().Llama(model_path=path, use_mmap=True, **options)
    except TypeError as error:
        raise UsageError(
            f"llama.cpp: {first_line(error)}", hint="options are those of llama_cpp.Llama"
        ) from error
    except Exception as error:
        raise MalformedError(f"llama.cpp cannot load the model: {first_line(error)}") from error


def _llama_cpp() -> Any:
    return imported("llama_cpp", "llama-cpp-python", _HINT)


def _run_error(error: Exception) -> KeepError:
    return UsageError(
        f"llama.cpp cannot run the model: {first_line(error)}", hint="check prompt and max_tokens"
    )
