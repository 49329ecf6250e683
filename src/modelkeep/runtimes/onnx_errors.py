"""What ONNX Runtime's errors mean, as ours."""

from __future__ import annotations

import re

from modelkeep.errors import KeepError, MalformedError, RuntimeMissingError, UnavailableError, UsageError
from modelkeep.runtimes.messages import LESS_MEMORY, first_line, lacks_memory

# What ONNX Runtime says when a model is sound but it is too old, or lacks an operator.
_TOO_OLD = re.compile(
    r"unsupported model IR version|is under development|No Op registered|not a registered function"
    r"|No opset import|Could not find an implementation",
    re.IGNORECASE,
)
_MODEL_FAULTS = frozenset({"InvalidProtobuf", "InvalidGraph", "InvalidArgument", "Fail", "NoModel"})
_DEVICE_FAULTS = frozenset({"EPFail", "EngineError", "DeviceReset", "RuntimeException"})
# Its error codes, and the places in its source that it names: file, line and signature.
_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+:\d+ .*?\)(?: const)?(?: \[[^\]]*\])?(?= [A-Z])"
)
_LONGEST_SEARCHED = 2000


def load_error(error: Exception) -> KeepError:
    """Returns what an error while a model was loaded means."""
    message = f"onnxruntime cannot load the model: {_shorten(error)}"
    kind = type(error).__name__
    if kind == "NotImplemented" or _TOO_OLD.search(str(error)):
        return RuntimeMissingError(message, hint="pip install -U onnxruntime, or the package of the operator")
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    if kind in _MODEL_FAULTS:
        return MalformedError(message)
    if isinstance(error, TypeError | ValueError):
        return UsageError(message, hint="check providers and provider_options")
    return UnavailableError(message)


def run_error(error: Exception) -> KeepError:
    """Returns what an error of a run means."""
    message = f"onnxruntime cannot run the model: {_shorten(error)}"
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    if type(error).__name__ in _DEVICE_FAULTS:
        return UnavailableError(message)
    return UsageError(message, hint="check the inputs against the model")


def _shorten(error: Exception) -> str:
    # Cut first: names in the model are part of the text, and the pattern is slow on some of them.
    return first_line(error, _NOISE.sub("", str(error)[:_LONGEST_SEARCHED]))
