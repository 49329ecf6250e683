"""PyTorch: safetensors in place, TorchScript, and checkpoints of weights alone."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.formats.safetensors import Place, read_spread_places
from modelkeep.formats.torch_archive import MemoryStream, is_torch_script
from modelkeep.memory import freed_memory_overwritten
from modelkeep.runtimes.messages import LESS_MEMORY, first_line, lacks_memory, run_error
from modelkeep.runtimes.package import imported
from modelkeep.runtimes.registry import LoadedModel, Runner, Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "pip install 'modelkeep[torch]'"
_OPTIONS = ("module", "strict")
_DTYPES: Mapping[str, str] = {
    **{"BOOL": "bool", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64"},
    **{"I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F16": "float16", "BF16": "bfloat16"},
    **{"F32": "float32", "F64": "float64", "C64": "complex64"},
}


class TorchRuntime(Runtime):
    """Loads ``.safetensors``, and ``.pt`` or ``.pth`` with TorchScript or a state dictionary.

    Options: `module`, the `torch.nn.Module` that the weights are for; best made under
    ``torch.device("meta")``, so that it has none of its own before. Without it, `native` is the state
    dictionary, and `run` has nothing to run. `strict` as in `load_state_dict`. TorchScript brings
    its module along. Nothing that is loaded can run code, except TorchScript itself.
    """

    name: ClassVar[str] = "torch"
    formats: ClassVar[frozenset[str]] = frozenset({"safetensors", "torch"})

    @classmethod
    def require(cls) -> None:
        """Imports torch.

        Raises:
            RuntimeMissingError: it is not installed.
        """
        _torch()

    @classmethod
    def load(cls, model: LoadedModel, options: Mapping[str, object]) -> TorchRunner:
        """See `Runtime.load`."""
        module = _module(options)
        view = model.files[model.entry]
        in_place = model.format == "safetensors"
        try:
            with freed_memory_overwritten():
                native = _tensors_in(model) if in_place else _load_checkpoint(view)
                if module is not None and isinstance(native, dict):
                    module.load_state_dict(native, strict=bool(options.get("strict", True)), assign=True)
                    native = module.eval()
        except KeepError:
            raise
        except Exception as error:
            raise _load_error(error) from error
        return TorchRunner(native, dict(model.files) if in_place else {})


class TorchRunner(Runner):
    """A module with its weights, or the weights alone. Whether threads may share it, the module decides."""

    def __init__(self, native: Any, borrowed: Mapping[str, memoryview]) -> None:
        self.borrowed = frozenset(borrowed)
        self._native = native

    @property
    def native(self) -> Any:
        """The module, or the state dictionary; after `close` it holds no weights any more."""
        if self._native is None:
            raise UsageError("the model is closed")
        return self._native

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Calls the module with inputs by name. What has no name is ``output``, or ``output_0`` and so on."""
        module, torch = self.native, _torch()
        if isinstance(module, dict):
            raise UsageError("these are weights without a module", hint="pass module=, or use `native`")
        try:
            with torch.inference_mode():
                result = module(**{name: torch.from_numpy(_copy(value)) for name, value in inputs.items()})
            return {name: value.numpy(force=True) for name, value in _named(result).items()}
        except Exception as error:
            raise run_error("torch", error) from error

    def close(self) -> None:
        """See `Runner.close`."""
        native, self._native = self._native, None
        with freed_memory_overwritten():
            _empty(native)
            del native


def _torch() -> Any:
    return imported("torch", "torch", _HINT)


def _module(options: Mapping[str, object]) -> Any:
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise UsageError(
            f"the torch runtime has no option {unknown[0]!r}", hint=f"options: {', '.join(_OPTIONS)}"
        )
    module = options.get("module")
    if module is not None and not isinstance(module, _torch().nn.Module):
        raise UsageError("module is not a torch.nn.Module")
    return module


def _tensors_in(model: LoadedModel) -> dict[str, Any]:
    places = read_spread_places(model.files, model.entry)
    return {name: _tensor(model.files[path], place) for name, (path, place) in places.items()}


def _tensor(view: memoryview, place: Place) -> Any:
    torch = _torch()
    dtype = getattr(torch, _DTYPES[place.dtype], None)
    if dtype is None:
        raise RuntimeMissingError(f"this torch has no {place.dtype} tensors", hint="pip install -U torch")
    if place.count == 0:
        return torch.empty(place.shape, dtype=dtype)
    values = torch.frombuffer(view, dtype=dtype, count=place.count, offset=place.start)
    return values.reshape(place.shape)


def _load_checkpoint(view: memoryview) -> Any:
    torch = _torch()
    stream = MemoryStream(view)
    if is_torch_script(view):
        return torch.jit.load(stream, map_location="cpu").eval()
    loaded = torch.load(stream, map_location="cpu", weights_only=True)
    if not isinstance(loaded, dict):
        raise MalformedError(f"torch: the checkpoint holds a {type(loaded).__name__}, not weights by name")
    return loaded


def _copy(value: object) -> Any:
    """Returns an array that torch can take, which it cannot if read-only or reversed, and may change."""
    import numpy as np

    return np.array(value, order="C")


def _named(result: Any) -> dict[str, Any]:
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, tuple | list):
        return {f"output_{index}": value for index, value in enumerate(result)}
    return {"output": result}


def _empty(native: Any) -> None:
    """Takes the weights out of what others may still hold."""
    if isinstance(native, dict):
        native.clear()
        return
    torch = _torch()
    if isinstance(native, torch.nn.Module) and not isinstance(native, torch.jit.ScriptModule):
        native.to_empty(device="meta")


def _load_error(error: Exception) -> KeepError:
    message = f"torch cannot load the model: {first_line(error)}"
    if isinstance(error, pickle.UnpicklingError):
        return MalformedError(message, hint="save a state dictionary, or TorchScript; objects are not loaded")
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    if "state_dict" in str(error):
        return UsageError(message, hint="pass the module that these weights were made for")
    return MalformedError(message)
