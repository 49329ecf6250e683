"""ExecuTorch. It computes on the decrypted bytes, which it does not copy."""

from __future__ import annotations

import importlib
import re
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.dtypes import FOREIGN, bits, foreign_dtype, is_foreign
from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.formats.executorch import Method, default_method, read_methods
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.messages import LESS_MEMORY, first_line, lacks_memory, run_error
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[executorch]'"
# Others compile what they are handed, and some of them keep that in files.
_BACKENDS = frozenset({"XnnpackBackend"})
_CHANNELS_LAST = (0, 2, 3, 1)
# What it says of the reason, from error.h of ExecuTorch; more is written to the standard error output.
_OPERATOR_MISSING = re.compile(r"0x:?14\b")


class ExecuTorchRuntime(Runtime):
    """Loads ExecuTorch programs (``.pte``) whose weights are inside, for portable operators and XNNPACK.

    It has no options. Inputs are ``input_0``, ``input_1`` and so on, outputs ``output_0``, ``output_1``: the
    file does not name them.
    """

    name: ClassVar[str] = "executorch"
    formats: ClassVar[frozenset[str]] = frozenset({"executorch"})

    @classmethod
    def require(cls) -> None:
        """Imports executorch, and PyTorch with it.

        Raises:
            RuntimeMissingError: one of them is not installed, or they do not fit each other.
        """
        _bindings()

    @classmethod
    def wants_bytes(cls, entry: str, path: str) -> bool:
        """Returns whether `path` is the program: of all memory, ExecuTorch takes only `bytes`."""
        return path == entry

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> ExecuTorchRunner:
        """See `Runtime.load`."""
        for option in options:
            raise UsageError(f"the executorch runtime has no option {option!r}", hint="leave it out")
        methods = read_methods(model.files[model.entry])
        name = model.function or default_method(methods)
        if name not in methods:
            raise MalformedError(f"the program has no method {name!r}")
        _refuse_backends(methods[name].backends)
        content = model.as_bytes(model.entry)
        try:
            with freed_memory_overwritten():
                program = _verified(content)
                method = program.load_method(name)
        except Exception as error:
            raise _load_error(error) from error
        # Whoever still holds the program when it is closed shall find zeros, not memory of others.
        weakref.finalize(program, _let_go, content).atexit = False
        return ExecuTorchRunner(program, method, methods[name], model.entry)


class ExecuTorchRunner(Runner):
    """A loaded program. Runs one after the other: a method has one set of tensors."""

    def __init__(self, program: Any, method: Any, described: Method, entry: str) -> None:
        self.borrowed = frozenset({entry})
        self.outputs: tuple[str, ...] = tuple(f"output_{place}" for place in range(described.outputs))
        self._program, self._method, self._described = program, method, described
        self.engine = program
        self._lock = threading.Lock()

    @property
    def native(self) -> Any:
        """The package's own `ExecuTorchProgram`; it ends with this runner."""
        if self._program is None:
            raise UsageError("the model is closed")
        return self._program

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """See `Runner.run`."""
        names = [tensor.name for tensor in self._described.contract.inputs]
        if self.native and inputs.keys() != set(names):
            raise UsageError(f"the model takes other inputs: {', '.join(names) or 'none'}")
        try:
            tensors = [self._tensor(place, inputs[name]) for place, name in enumerate(names)]
            with self._lock:
                results = self._method(tensors)
            return dict(zip(self.outputs, map(_plain, results), strict=True))
        except Exception as error:
            raise run_error("ExecuTorch", error) from error

    def close(self) -> None:
        """See `Runner.close`."""
        if self._program is None:
            return
        with freed_memory_overwritten():
            self._program = self._method = self.engine = None

    def _tensor(self, place: int, value: NDArray[Any]) -> Any:
        """Returns a tensor whose dimensions lie in memory as the program has them."""
        import numpy as np

        torch: Any = _torch()
        array = np.array(value, order="C")
        tensor = torch.from_numpy(bits(array) if is_foreign(array) else array)
        if is_foreign(array):
            tensor = tensor.view(getattr(torch, array.dtype.name))
        last = self._described.orders[place] == _CHANNELS_LAST and tensor.dim() == len(_CHANNELS_LAST)
        return tensor.contiguous(memory_format=torch.channels_last) if last else tensor


def _torch() -> Any:
    import torch

    return torch


def _bindings() -> Any:
    """Returns the compiled module of the package.

    What wraps it in Python imports the exporter and PyTorch's compiler as well, which takes many seconds, and
    wants a folder to write to.
    """
    try:
        _torch()  # what the module is linked to
        return importlib.import_module("executorch.extension.pybindings._C")
    except Exception as error:
        raise RuntimeMissingError(
            f"executorch is not installed with a PyTorch that fits it: {first_line(error)}", hint=_HINT
        ) from error


def _verified(content: bytes) -> Any:
    """Returns a program whose offsets ExecuTorch has looked at, which it does when it is asked to."""
    bindings = _bindings()
    level = bindings.Verification.InternalConsistency
    return bindings._load_program_from_buffer(content, program_verification=level)


def _refuse_backends(backends: frozenset[str]) -> None:
    for backend in sorted(backends):
        if backend not in _BACKENDS:
            raise UsageError(
                f"the program is for {backend}, of which it is not known that it writes no files",
                hint="export it for XNNPACK or portable operators, or hand its path over with open_files",
            )
        if not _bindings()._is_available(backend):
            raise RuntimeMissingError(f"this executorch has no {backend}", hint="pip install -U executorch")


def _let_go(_content: bytes) -> None:
    """Holds the content until the program has gone."""


def _plain(value: Any) -> Any:
    """Returns what NumPy makes of a value, in memory of its own."""
    import numpy as np

    torch = _torch()
    if not isinstance(value, torch.Tensor):
        return np.array(value)
    kind = str(value.dtype).removeprefix("torch.")
    if kind not in FOREIGN:
        return value.numpy(force=True).copy()
    return value.contiguous().view(torch.uint16).numpy(force=True).copy().view(foreign_dtype(kind))


def _load_error(error: Exception) -> KeepError:
    message = f"ExecuTorch cannot load the model: {first_line(error)}"
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    if _OPERATOR_MISSING.search(message):
        return RuntimeMissingError(message, hint="it lacks an operator of the model; export it with others")
    return MalformedError(message)
