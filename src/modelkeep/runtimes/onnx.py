"""ONNX Runtime. It computes on the decrypted weights where they lie."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import MalformedError, RuntimeMissingError, UsageError
from modelkeep.formats.onnx_graph import external_files, external_path
from modelkeep.memory import BytesPages, freed_memory_overwritten
from modelkeep.runtimes.onnx_errors import load_error, run_error
from modelkeep.runtimes.onnx_slim import SlimGraph
from modelkeep.runtimes.onnx_values import ForeignValues
from modelkeep.runtimes.package import imported
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[onnx]'"
_OPTIONS = ("profile", "session_options", "providers", "provider_options")
_IN_PLACE = "session.use_external_initializer_file_buffers_directly"
_FORMAT = "session.load_model_format"
_PROFILES = ("fast", "single-copy")
_NO_PREPACKING = "session.disable_prepacking"

# Its fallback prints to stdout and changes the device; settings inside a model may name files.
_PLAIN: Mapping[str, Any] = {"enable_fallback": 0, "read_config_from_model": 0}

# Provider options with these words in their names keep compiled or partial models in files.
_FILE_WORDS = ("cache", "dump", "ep_context", "save_compiled", "load_compiled", "profiling")
_OFF = frozenset({"", "0", "false", "none"})


class OnnxRuntime(Runtime):
    """Loads ONNX models, of one file or with external data.

    Options: `session_options` (an `onnxruntime.SessionOptions`), `providers` and
    `provider_options`, as `onnxruntime.InferenceSession` takes them. Without any of them the model
    runs on the CPU.

    `profile` chooses between speed and memory:

    - ``"fast"`` (default): ONNX Runtime arranges a second copy of some weights for its kernels,
      as it does with any model. Results and latency are those of a plain run.
    - ``"single-copy"``: it computes on the decrypted weights alone. Half the memory and soonest
      ready, but slower per run, most for small batches of more than one.

    Session options may serve several models. What is added to them are places in memory that end
    with each session, under names that no model of one's own refers to.
    """

    name: ClassVar[str] = "onnx"
    formats: ClassVar[frozenset[str]] = frozenset({"onnx"})

    @classmethod
    def require(cls) -> None:
        """Imports onnxruntime.

        Raises:
            RuntimeMissingError: it is not installed, or older than 1.24.
        """
        require_onnxruntime()

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> OnnxRunner:
        """See `Runtime.load`."""
        settings = read_settings(options)
        arguments = (settings, read_providers(options), options.get("provider_options"))
        slim, names = _slimmed(model)
        lent = [path for path in names if path != model.entry or slim.lends]
        _lend(settings, {names[path]: model.files[path] for path in lent})
        # Weights are copied, and copies are freed, while the graph is parsed and optimised.
        with BytesPages.allocate(slim.size) as graph, freed_memory_overwritten():
            slim.write(graph.view)
            session = load_session(graph.value, arguments)
        return OnnxRunner(session, {path: model.files[path] for path in lent})


class OnnxRunner(Runner):
    """A loaded ONNX model."""

    def __init__(self, session: Any, borrowed: Mapping[str, memoryview]) -> None:
        self._session = session
        self.engine = getattr(session, "_sess", None)
        self._memory = dict(borrowed)
        self._foreign = ForeignValues(session)
        self.outputs: tuple[str, ...] = tuple(output.name for output in session.get_outputs())
        self.borrowed = frozenset(borrowed)

    @property
    def native(self) -> Any:
        """The `onnxruntime.InferenceSession`; it ends with this runner."""
        if self._session is None:
            raise UsageError("the model is closed")
        return self._session

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """See `Runner.run`."""
        session = self.native
        try:
            if self._foreign:
                values = self._foreign.run(session, self.outputs, inputs)
            else:
                values = session.run(self.outputs, dict(inputs))
        except Exception as error:
            raise run_error(error) from error
        return dict(zip(self.outputs, values, strict=True))

    def close(self) -> None:
        """See `Runner.close`."""
        if self._session is None:
            return
        session, self._session = self._session, None
        with freed_memory_overwritten():
            # Somebody may still hold `native`. Emptied, it raises AttributeError; otherwise it
            # would keep the weights, or read memory that has been given back.
            vars(session).clear()
            self.engine = None
        self._memory.clear()


def require_onnxruntime() -> None:
    """Imports onnxruntime.

    Raises:
        RuntimeMissingError: it is not installed, or older than 1.24.
    """
    if not hasattr(_onnxruntime().SessionOptions, "add_external_initializers_from_files_in_memory"):
        raise RuntimeMissingError(
            "this onnxruntime cannot take weights from memory", hint=f"{_HINT}, which needs 1.24 or later"
        )


def _onnxruntime() -> Any:
    # Its wheels from Microsoft keep a device id and a database of events on disk otherwise. Only the
    # first import looks, so a caller who imports onnxruntime earlier decides alone.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return imported("onnxruntime", "onnxruntime", _HINT)


def load_session(model: bytes | str, arguments: tuple[Any, ...]) -> Any:
    """Returns a session on bytes, or on a file.

    Raises:
        KeepError: what ONNX Runtime says, as the error that it means.
    """
    try:
        session = _onnxruntime().InferenceSession(model, *arguments, **_PLAIN)
    except Exception as error:
        raise load_error(error) from error
    # ONNX Runtime has parsed the bytes, and would keep them until the session ends.
    session._model_bytes = None
    return session


def read_settings(options: Mapping[str, object], model_format: str = "ONNX") -> Any:
    """Returns the session options that a caller's options ask for, for models in one of its two formats.

    Raises:
        UsageError: an option is unknown, wrong or unsafe.
    """
    unknown = sorted(str(name) for name in options if name not in _OPTIONS)
    if unknown:
        raise UsageError(
            f"the onnx runtime has no option {unknown[0]!r}", hint=f"options: {', '.join(_OPTIONS)}"
        )
    kind = _onnxruntime().SessionOptions
    settings = options.get("session_options")
    if settings is None:
        settings = kind()
        settings.log_severity_level = 4  # what goes wrong is raised; its log names parts of the model
    if not isinstance(settings, kind):
        raise UsageError("session_options is not an onnxruntime.SessionOptions")
    _refuse_model_files(settings)
    # Without this it guesses from the bytes, and might see another model than the one that was checked.
    set_entry(settings, _FORMAT, model_format)
    _set_profile(settings, options.get("profile", "fast"))
    return settings


def _set_profile(settings: Any, profile: object) -> None:
    if profile not in _PROFILES:
        raise UsageError(
            f"the onnx runtime has no profile {profile!r}", hint=f"profiles: {', '.join(_PROFILES)}"
        )
    if profile == "single-copy":
        set_entry(settings, _NO_PREPACKING, "1")
        # Above this level, weights of convolutions are copied into another layout.
        extended = _onnxruntime().GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        settings.graph_optimization_level = min(settings.graph_optimization_level, extended, key=int)


def _refuse_model_files(settings: Any) -> None:
    """Refuses settings that make ONNX Runtime write the decrypted model to a file."""
    if settings.optimized_model_filepath:
        raise _writes_model("optimized_model_filepath")
    if _entry(settings, "ep.context_enable") not in (None, "0"):
        raise _writes_model("ep.context_enable")
    if settings.enable_profiling:
        raise UsageError(
            "enable_profiling would write names of the model's parts to a file", hint="leave it out"
        )
    # What is set there cannot be looked at.
    if getattr(settings, "has_providers", bool)():
        raise UsageError("session_options brings providers along", hint="pass them as `providers`")


def read_providers(options: Mapping[str, object]) -> list[Any] | None:
    """Returns what to pass as `providers`: the CPU by default, nothing when the caller's options decide."""
    given = options.get("providers")
    if given is None:
        return None if options.get("session_options") is not None else ["CPUExecutionProvider"]
    if not isinstance(given, list | tuple):
        raise UsageError("providers must be a list", hint="for example ['CPUExecutionProvider']")
    available = _onnxruntime().get_available_providers()
    for provider in given:
        name = provider[0] if isinstance(provider, tuple) and provider else provider
        if name not in available:
            raise RuntimeMissingError(
                f"onnxruntime has no provider {name!r} here", hint=f"available: {', '.join(available)}"
            )
    own = [part for provider in given if isinstance(provider, tuple) for part in provider[1:]]
    _refuse_provider_files([*own, *_listed(options.get("provider_options"))])
    return list(given)


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def _refuse_provider_files(settings: Sequence[object]) -> None:
    pairs = [pair for each in settings if isinstance(each, Mapping) for pair in each.items()]
    for name, value in pairs:
        if any(word in str(name).lower() for word in _FILE_WORDS) and str(value).lower() not in _OFF:
            raise _writes_model(str(name))


def _slimmed(model: LoadedModel) -> tuple[SlimGraph, Mapping[str, str]]:
    """Returns the small graph, and the names under which it finds files: path -> name."""
    view = model.files[model.entry]
    names = _names_in_memory(model.entry, ())
    slim = SlimGraph(view, names[model.entry], {})
    if not slim.may_need_other_files():
        return slim, names
    paths = _external_paths(model)
    names = _names_in_memory(model.entry, paths.values())
    renamed = {location: names[path] for location, path in paths.items()}
    return SlimGraph(view, names[model.entry], renamed), names


def _external_paths(model: LoadedModel) -> dict[str, str]:
    """Returns location in the main file -> path inside the bundle, for all external data."""
    locations = external_files(model.files[model.entry])
    paths = {location: external_path(model.entry, location) for location in locations}
    for path in paths.values():
        # What is not handed over, ONNX Runtime would look for in the working directory.
        if path not in model.files:
            raise MalformedError(f"the model refers to {path!r}, which is not among its files")
        if path == model.entry:
            raise MalformedError("the model names itself as its external data")
    return paths


def _names_in_memory(entry: str, paths: Iterable[str]) -> dict[str, str]:
    """Returns path -> a name that nothing else refers to, wherever else the settings are used."""
    prefix = f"modelkeep-{secrets.token_hex(8)}"
    return {path: f"{prefix}-{number}" for number, path in enumerate(dict.fromkeys((entry, *paths)))}


def _lend(settings: Any, buffers: Mapping[str, memoryview]) -> None:
    if not buffers:
        return
    if _entry(settings, _IN_PLACE) is None:
        set_entry(settings, _IN_PLACE, "1")
    lengths = [len(buffer) for buffer in buffers.values()]
    settings.add_external_initializers_from_files_in_memory(list(buffers), list(buffers.values()), lengths)


def set_entry(settings: Any, key: str, value: str) -> None:
    """Sets an entry of session options."""
    if _entry(settings, key) != value:  # setting it again would be logged
        settings.add_session_config_entry(key, value)


def _entry(settings: Any, key: str) -> str | None:
    try:
        return str(settings.get_session_config_entry(key))
    except RuntimeError:  # its way to say that there is none
        return None


def _writes_model(option: str) -> UsageError:
    return UsageError(
        f"{option} would write the decrypted model to a file", hint="leave it out; the model stays in memory"
    )
