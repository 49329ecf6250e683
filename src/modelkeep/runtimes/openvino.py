"""OpenVINO. Its own format is read from memory that it shares; ONNX from a file in memory."""

from __future__ import annotations

import posixpath
import queue
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.formats.onnx_graph import external_files, input_names, is_onnx
from modelkeep.memory import BytesPages, freed_memory_overwritten
from modelkeep.runtimes.messages import LESS_MEMORY, first_line, lacks_memory, run_error
from modelkeep.runtimes.onnx_slim import SlimGraph
from modelkeep.runtimes.openvino_values import dtype_of, unwrapped, wrapped
from modelkeep.runtimes.package import imported
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[openvino]'"
_VIRTUAL_DEVICES = ("AUTO", "HETERO", "MULTI", "BATCH")
_OPTIONS = ("device", "config")
# Properties with these words in their names write compiled models to files, or read weights from them.
_FILE_WORDS = ("CACHE_DIR", "WEIGHTS_PATH", "DUMP", "BLOB")


# What it says of a sound model that it cannot run.
_UNSUPPORTED = re.compile(
    r"opset|Unsupported (?:operation|value_info)|No conversion rule|Not ?Implemented|not (?:yet )?supported",
    re.IGNORECASE,
)
# Lines before the one that says why: where an exception passed by, and what was being done.
_PREAMBLE = re.compile(
    r"Exception from|Check '|Loading input model|FrontEnd API failed|Model wasn't fully converted|Summary:|"
    r"Not Implemented:\s*$|\[ERROR\]|-----"
)


class OpenVinoRuntime(Runtime):
    """Loads OpenVINO IR (``.xml`` with its ``.bin``), and ONNX models of one file.

    Options: `device`, by default ``"CPU"``, and `config`, the properties for
    `openvino.Core.compile_model`. Those that keep compiled models on disk are refused.
    """

    name: ClassVar[str] = "openvino"
    formats: ClassVar[frozenset[str]] = frozenset({"openvino", "onnx"})

    @classmethod
    def require(cls) -> None:
        """Imports openvino.

        Raises:
            RuntimeMissingError: it is not installed.
        """
        _openvino()

    @classmethod
    def wants_bytes(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is the description of an IR; its weights may lie anywhere."""
        return path == entry and not is_onnx(entry)

    @classmethod
    def wants_path(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is an ONNX model, which OpenVINO would copy from any other memory."""
        return path == entry and is_onnx(entry)

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> OpenVinoRunner:
        """See `Runtime.load`."""
        device, config = _checked(options)
        read = _read_onnx if is_onnx(model.entry) else _read_ir
        core = _openvino().Core()
        try:
            # Weights are copied, and copies are freed, on the way.
            with freed_memory_overwritten():
                found, weights = read(core, model)
                compiled = core.compile_model(found, device, config)
        except KeepError:
            raise
        except Exception as error:
            raise _load_error(error, device, core) from error
        # What nothing in a model uses, OpenVINO may take out; callers give it all the same.
        known = input_names(model.files[model.entry]) if is_onnx(model.entry) else frozenset()
        return OpenVinoRunner(compiled, {path: model.files[path] for path in weights}, known)


class OpenVinoRunner(Runner):
    """A compiled model, with as many requests for inference as threads were ever in `run` at once."""

    def __init__(
        self, compiled: Any, borrowed: Mapping[str, memoryview], known: frozenset[str] = frozenset()
    ) -> None:
        self.borrowed = frozenset(borrowed)
        self._unused = known - {name for port in compiled.inputs for name in port.get_names()}
        self._compiled = self.engine = compiled
        # Held by the model itself: who keeps `native` too long computes on zeros, but safely.
        compiled._memory = dict(borrowed)
        self.outputs: tuple[str, ...] = tuple(
            _name(output, index) for index, output in enumerate(compiled.outputs)
        )
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @property
    def native(self) -> Any:
        """The `openvino.CompiledModel`; what it computes after this runner is closed is meaningless."""
        if self._compiled is None:
            raise UsageError("the model is closed")
        return self._compiled

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """See `Runner.run`. An output without a name is called ``output_`` and its number."""
        values = self._checked({name: value for name, value in inputs.items() if name not in self._unused})
        with self._request() as request:
            try:
                results = request.infer(values, share_inputs=False, share_outputs=False)
            except Exception as error:
                raise run_error("OpenVINO", error, _reason(error)) from error
            ports = self.native.outputs
            return {name: unwrapped(ports[index], results[index]) for index, name in enumerate(self.outputs)}

    def close(self) -> None:
        """See `Runner.close`."""
        if self._compiled is None:
            return
        with freed_memory_overwritten():
            self._idle = queue.SimpleQueue()
            self._compiled = self.engine = None

    @contextmanager
    def _request(self) -> Iterator[Any]:
        compiled = self.native
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)

    def _checked(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        # OpenVINO would compute with what an input held before, and convert what it gets.
        ports = self.native.inputs
        if len(ports) != len(inputs) or not all(port.get_names() & inputs.keys() for port in ports):
            names = ", ".join(min(port.get_names(), default="?") for port in ports)
            raise UsageError(f"the model takes other inputs: {names or 'none'}")
        values = {}
        for port in ports:
            (name,) = port.get_names() & inputs.keys()
            if dtype_of(port) != getattr(inputs[name], "dtype", None):
                raise UsageError(f"input {name!r} must be an array of {dtype_of(port)}")
            values[name] = wrapped(port, inputs[name])
        return values


def _openvino() -> Any:
    return imported("openvino", "openvino", _HINT)


def _checked(options: Mapping[str, object]) -> tuple[str, dict[Any, Any]]:
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise UsageError(
            f"the openvino runtime has no option {unknown[0]!r}", hint=f"options: {', '.join(_OPTIONS)}"
        )
    device, config = options.get("device", "CPU"), options.get("config", {})
    if not isinstance(device, str) or not isinstance(config, Mapping):
        raise UsageError("device must be a string and config a mapping")
    for name in _names(config):
        if any(word in name.upper() for word in _FILE_WORDS):
            raise UsageError(
                f"{name} would write the decrypted model to a file",
                hint="leave it out; the model stays in memory",
            )
    return device, dict(config)


def _names(config: Mapping[Any, Any]) -> Iterator[str]:
    """Yields the names of properties, also of those for one device of several."""
    for name, value in config.items():
        yield str(name)
        if isinstance(value, Mapping):
            yield from _names(value)


def _read_ir(core: Any, model: LoadedModel) -> tuple[Any, list[str]]:
    import numpy as np

    path = posixpath.splitext(model.entry)[0] + ".bin"
    if path not in model.files:
        raise MalformedError(f"{model.entry}: its weights are missing", hint=f"seal it together with {path}")
    weights = np.frombuffer(model.files[path], np.uint8)
    shared = _openvino().Tensor(weights, shared_memory=True)
    return core.read_model(model.as_bytes(model.entry), shared), [path]


def _read_onnx(core: Any, model: LoadedModel) -> tuple[Any, list[str]]:
    view = model.files[model.entry]
    if SlimGraph(view, model.entry, {}).may_need_other_files() and external_files(view):
        raise UsageError(
            "OpenVINO reads external data of ONNX models from disks alone",
            hint="convert the model with openvino.save_model, or use the onnx runtime",
        )
    try:
        return core.read_model(model.as_path(model.entry)), [model.entry]
    except RuntimeError:
        return _read_copy(core, view), []


def _read_copy(core: Any, view: memoryview) -> Any:
    """Reads a model from bytes, which OpenVINO copies: it knows more operators there than in files."""
    with BytesPages.allocate(len(view)) as copy:
        copy.view[:] = view
        return core.read_model(copy.value)


def _name(output: Any, index: int) -> str:
    return min(output.get_names(), default=f"output_{index}")


def _load_error(error: Exception, device: str, core: Any) -> KeepError:
    message = f"OpenVINO cannot load the model: {_reason(error)}"
    if re.split(r"[:.]", device)[0] not in {*core.available_devices, *_VIRTUAL_DEVICES}:
        return RuntimeMissingError(message, hint=f"devices: {', '.join(core.available_devices)}")
    if _UNSUPPORTED.search(str(error)):
        return RuntimeMissingError(message, hint="pip install -U openvino, or use another runtime")
    if "roperty" in str(error) or isinstance(error, TypeError):
        return UsageError(message, hint="check device and config")
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    return MalformedError(message)


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line and not _PREAMBLE.match(line)]
    return first_line(error, "\n".join(lines)).removeprefix("-- ")
