"""ONNX Runtime's own format. It maps the decrypted model from a file in memory, which it does not copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from modelkeep.errors import MalformedError
from modelkeep.formats.flatbuffers import identifier
from modelkeep.formats.ort import IDENTIFIER
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.onnx import (
    OnnxRunner,
    load_session,
    read_providers,
    read_settings,
    require_onnxruntime,
    set_entry,
)
from modelkeep.runtimes.registry import LoadedModel, Runtime

_IN_PLACE = ("session.use_memory_mapped_ort_model", "session.use_ort_model_bytes_for_initializers")


class OrtRuntime(Runtime):
    """Loads models that ONNX Runtime has saved (``.ort``). Options are those of the runtime ``onnx``."""

    name: ClassVar[str] = "ort"
    formats: ClassVar[frozenset[str]] = frozenset({"ort"})

    @classmethod
    def require(cls) -> None:
        """Imports onnxruntime.

        Raises:
            RuntimeMissingError: it is not installed, or older than 1.24.
        """
        require_onnxruntime()

    @classmethod
    def wants_path(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is the model: ONNX Runtime maps files alone, and would copy bytes."""
        return path == entry

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> OnnxRunner:
        """See `Runtime.load`."""
        view = model.files[model.entry]
        # Said here, because it falls back to reading something else.
        if identifier(view) != IDENTIFIER:
            raise MalformedError("not a model in ONNX Runtime's format: its identifier is missing")
        settings = read_settings(options, "ORT")
        for key in _IN_PLACE:
            set_entry(settings, key, "1")
        arguments = (settings, read_providers(options), options.get("provider_options"))
        with freed_memory_overwritten():
            session = load_session(model.as_path(model.entry), arguments)
        return OnnxRunner(session, {model.entry: view})
