"""ncnn. It reads the decrypted files from memory, and computes on copies of its own."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import MalformedError, UsageError
from modelkeep.formats.ncnn import read_inputs
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.package import imported
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[ncnn]'"
_MOST_DIMENSIONS = 4
_Shapes = Mapping[str, tuple[int, ...] | None]


class NcnnRuntime(Runtime):
    """Loads ncnn models: ``.param`` with its ``.bin``.

    Options are the switches and numbers of `ncnn.Option`, for example `num_threads`. ncnn does not check
    shapes, and reads beyond its memory with others than the model was made for: a model that does not say
    them should get them in its contract.
    """

    name: ClassVar[str] = "ncnn"
    formats: ClassVar[frozenset[str]] = frozenset({"ncnn"})

    @classmethod
    def require(cls) -> None:
        """Imports ncnn.

        Raises:
            RuntimeMissingError: it is not installed.
        """
        _ncnn()

    @classmethod
    def wants_path(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is the description or the weights: ncnn opens files alone."""
        return path in (entry, _weights(entry))

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> NcnnRunner:
        """See `Runtime.load`."""
        shapes = read_inputs(model.files[model.entry])
        weights = _weights(model.entry)
        if weights not in model.files:
            raise MalformedError(
                f"{model.entry}: its weights are missing", hint=f"seal it together with {weights}"
            )
        net = _ncnn().Net()
        _set(net.opt, options)
        # It frees what it read as soon as it has arranged it anew.
        with freed_memory_overwritten():
            failed = net.load_param(model.as_path(model.entry)) or net.load_model(model.as_path(weights))
        if failed:
            raise MalformedError(
                "ncnn cannot load the model: a layer that it does not know, or weights of another model",
                hint="its own words are on standard error",
            )
        return NcnnRunner(net, shapes)


class NcnnRunner(Runner):
    """A loaded ncnn model. Any number of threads may run it at once."""

    def __init__(self, net: Any, shapes: _Shapes) -> None:
        self._net = net
        self._shapes = shapes
        self.outputs: tuple[str, ...] = tuple(net.output_names())

    @property
    def native(self) -> Any:
        """The `ncnn.Net`; it is empty after this runner is closed."""
        if self._net is None:
            raise UsageError("the model is closed")
        return self._net

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """See `Runner.run`. Arrays are of float32, without an axis for the batch."""
        import numpy as np

        extractor = self.native.create_extractor()
        self._check(inputs)
        for name, value in inputs.items():
            # Copied: it would compute on an array as it lies, which it takes for aligned.
            extractor.input(name, _ncnn().Mat(np.ascontiguousarray(value)).clone())
        results = {name: extractor.extract(name) for name in self.outputs}
        if any(status != 0 for status, _value in results.values()):
            raise UsageError("ncnn cannot run the model", hint="check the inputs against the model")
        return {name: np.array(value) for name, (_status, value) in results.items()}

    def close(self) -> None:
        """See `Runner.close`."""
        if self._net is None:
            return
        net, self._net = self._net, None
        with freed_memory_overwritten():
            net.clear()

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        if inputs.keys() != self._shapes.keys():
            raise UsageError(f"the model takes other inputs: {', '.join(self._shapes)}")
        for name, shape in self._shapes.items():
            value = inputs[name]
            if str(getattr(value, "dtype", None)) != "float32":
                raise UsageError(f"input {name!r} must be an array of float32")
            if not 1 <= value.ndim <= _MOST_DIMENSIONS or shape not in (None, value.shape):
                raise UsageError(f"input {name!r} must be an array of shape {shape or 'of 1 to 4 axes'}")


def _weights(entry: str) -> str:
    return posixpath.splitext(entry)[0] + ".bin"


def _ncnn() -> Any:
    return imported("ncnn", "ncnn", _HINT)


def _set(settings: Any, options: Mapping[str, object]) -> None:
    known = [name for name in dir(settings) if isinstance(getattr(settings, name), int)]
    for name, value in options.items():
        if name not in known:
            raise UsageError(f"the ncnn runtime has no option {name!r}", hint=f"options: {', '.join(known)}")
        if not isinstance(value, int):
            raise UsageError(f"{name} must be a number, or true or false")
        setattr(settings, name, value)
