"""What a runtime adapter is, and how to find the one for a model.

Adapters register under the entry point group `modelkeep.runtimes`; ours do so too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep import plugins
from modelkeep.errors import RuntimeMissingError, UsageError
from modelkeep.plugins import Plugin

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "modelkeep.runtimes"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decrypted and verified model in memory.

    Attributes:
        format: what the files are, for example ``onnx``.
        entry: path of the main file inside the model.
        files: path -> plaintext, for every file, writable. The memory belongs to whoever made this
            object; an adapter may rearrange what it borrows.
        whole: path -> the very `bytes` object behind a file, where a runtime `wants_bytes`.
        places: path -> a path that this process can open, where a runtime `wants_path`.
        function: which function of the main file is run, or None for its default one.
    """

    format: str
    entry: str
    files: Mapping[str, memoryview] = field(repr=False)
    whole: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    places: Mapping[str, str] = field(default_factory=dict, repr=False)
    function: str | None = field(default=None, repr=False)

    def as_bytes(self, path: str) -> bytes:
        """Returns the `bytes` object that holds the file at `path`, without copying it.

        Raises:
            UsageError: the file was not decrypted into such an object.
        """
        if path not in self.whole:
            raise UsageError(
                f"{path}: not held as bytes", hint="the runtime's wants_bytes must name this file"
            )
        return self.whole[path]

    def as_path(self, path: str) -> str:
        """Returns a path in the file system, though not on a disk, of the file at `path`.

        Raises:
            UsageError: the file was not decrypted into a file in memory.
        """
        if path not in self.places:
            raise UsageError(f"{path}: has no path", hint="the runtime's wants_path must name this file")
        return self.places[path]


class Runner(ABC):
    """A model that is ready to compute. `run` may be called by several threads at once.

    Attributes:
        borrowed: paths of the files whose memory must stay as it is until `close`; the runner has
            its own copy of what it needs from the others.
        engine: what must be gone for the runtime's copies to be gone, or None; `close` lets go of it.
        outputs: names of what a run gives, in that order, or None where only the run tells.
    """

    borrowed: frozenset[str] = frozenset()
    engine: Any = None
    outputs: tuple[str, ...] | None = None

    @property
    @abstractmethod
    def native(self) -> Any:
        """The runtime's own object.

        Raises:
            UsageError: closed.
        """

    @abstractmethod
    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Computes all outputs of the model.

        Args:
            inputs: name -> array; must have passed the contract.

        Returns:
            name -> `numpy.ndarray`, or whatever the runtime makes of outputs that are no tensors.

        Raises:
            UsageError: the runtime refuses these inputs, or the runner is closed.
            UnavailableError: a device or its memory failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees what the runtime holds; again does nothing. No `run` may be under way."""


class Runtime(ABC):
    """An adapter to an inference runtime.

    Attributes:
        name: its name under the entry point group.
        formats: model formats that it loads.
    """

    name: ClassVar[str]
    formats: ClassVar[frozenset[str]]

    @classmethod
    @abstractmethod
    def require(cls) -> None:
        """Makes sure that the runtime is installed, before anything is decrypted for it.

        Raises:
            RuntimeMissingError: it is not.
        """

    @classmethod
    def wants_bytes(cls, entry: str, path: str) -> bool:
        """Returns whether the file `path` of a model with main file `entry` must be a `bytes` object."""
        return False

    @classmethod
    def wants_path(cls, entry: str, path: str) -> bool:
        """Returns whether the file `path` of a model with main file `entry` must have a path to open.

        Memory of this kind can be read by whoever may open descriptors of this process.
        """
        return False

    @classmethod
    @abstractmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> Runner:
        """Makes a model ready to compute, without a trace on any disk.

        Args:
            model: its files; those that the runner borrows must outlive it.
            options: settings of this runtime.

        Raises:
            MalformedError: the runtime cannot read the model.
            RuntimeMissingError: the runtime is too old for the model, or lacks an operator.
            UnavailableError: not enough memory, or a device failed.
            UsageError: an option is unknown, wrong or unsafe.
        """


def open_runtime(format: str, name: str | None = None) -> type[Runtime]:
    """Returns the runtime `name`, or one that loads `format`: its namesake first, then by name.

    Raises:
        UsageError: no runtime of that name or for that format is registered.
        RuntimeMissingError: the runtime itself is not installed.
    """
    if name is not None and not plugins.find(GROUP, name):
        raise UsageError(f"no runtime is named {name!r}", hint=_registered())
    for entry in _candidates(format, name):
        runtime = _load(entry)
        if format in runtime.formats:
            runtime.require()
            return runtime
    if name is None:
        raise UsageError(
            f"no runtime is registered for models of format {format!r}",
            hint=f"open_files gives other programs a path to it; {_registered()}",
        )
    raise UsageError(f"{name} cannot load models of format {format!r}", hint=_registered())


def is_loadable(format: str) -> bool:
    """Returns whether a registered runtime, be it installed or not, loads models of this format."""
    for entry in _candidates(format, None):
        with suppress(RuntimeMissingError):
            if format in _load(entry).formats:
                return True
    return False


def _candidates(format: str, name: str | None) -> Iterator[Plugin]:
    if name is not None:
        yield from plugins.find(GROUP, name)
        return
    # Ours first, and others are looked for only where none of ours fits: that takes longer than opening.
    ours = plugins.own(GROUP)
    yield from sorted(ours, key=lambda point: point.name != format)
    yield from plugins.find(GROUP, format)
    yield from plugins.every(GROUP)


def _registered() -> str:
    names = sorted({entry.name for entry in plugins.every(GROUP)})
    return f"registered runtimes: {', '.join(names) or 'none'}"


def _load(entry: Plugin) -> type[Runtime]:
    runtime = plugins.load(entry, "runtime")
    if not isinstance(runtime, type) or not issubclass(runtime, Runtime):
        raise RuntimeMissingError(
            f"runtime {entry.name}: not a runtime adapter", hint=f"update the package of {entry.value}"
        )
    return runtime
