"""A sealed model where a tool wants an `onnxruntime.InferenceSession`: each run is checked first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from modelkeep.errors import UsageError
from modelkeep.integrations.named_outputs import check_outputs
from modelkeep.integrations.opening import open_configured
from modelkeep.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray


# What describes a model, and computes nothing. All else that ONNX Runtime has, or will have, stays out.
_DESCRIBING = frozenset(
    {
        *("get_inputs", "get_outputs", "get_overridable_initializers", "get_modelmeta"),
        *("get_providers", "get_provider_options", "get_session_options"),
    }
)


class CheckedSession:
    """Runs go through a session of ours; what describes the model is ONNX Runtime's own."""

    def __init__(self, session: Session, path: str | os.PathLike[str]) -> None:
        """Takes a session; whoever opened it closes it where this is refused.

        Raises:
            UsageError: it runs on something else than ONNX Runtime in this process.
        """
        if type(session.native).__module__.partition(".")[0] != "onnxruntime":
            raise UsageError(f"{os.fspath(path)}: is not open in ONNX Runtime", hint="seal an ONNX model")
        self._checked = session
        # Tools name the model by it, and some copy what lies there: it is the sealed one.
        self._model_path = os.fspath(path)

    def __getattr__(self, name: str) -> Any:
        if name not in _DESCRIBING:
            raise AttributeError(f"a sealed model has no {name!r}: its inputs would not be checked")
        return getattr(self._checked.native, name)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, NDArray[Any]],
        run_options: Any = None,
    ) -> list[Any]:
        """Checks the inputs, runs the model, and returns the outputs of these names, or all.

        The parameters are called as ONNX Runtime's are; options of a run do not count.

        Raises:
            InputError, UsageError, ExpiredError: see `Session.run`.
        """
        outputs = self._checked.run(input_feed)
        names = output_names or list(outputs)
        check_outputs(names, outputs)
        return [outputs[name] for name in names]

    def io_binding(self, *_arguments: Any) -> NoReturn:
        """Refuses: bound memory is not checked.

        Raises:
            UsageError: always.
        """
        raise UsageError("inputs in bound memory are not checked", hint="switch use_io_binding off")

    run_with_iobinding = run_with_ort_values = run_with_ortvaluevector = run_async = io_binding

    @contextmanager
    def bindable(self) -> Iterator[None]:
        """Meanwhile memory can be bound to the model, which some tools prepare and do not use."""
        self._sess = self._checked.native._sess
        try:
            yield
        finally:
            del self._sess

    def set_providers(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuses: ONNX Runtime would read the model once more, which is not kept.

        Raises:
            UsageError: always.
        """
        raise UsageError("a sealed model stays on the device that it was opened for", hint="open it again")

    def close(self) -> None:
        """Wipes the model."""
        self._checked.close()


def open_checked(path: str | os.PathLike[str], **options: Any) -> CheckedSession:
    """Opens a sealed model as `open_configured` does.

    Raises:
        KeepError: see `open_configured`; UsageError for another runtime, or another process.
    """
    session = open_configured(path, **options)
    try:
        return CheckedSession(session, path)
    except BaseException:
        session.close()
        raise
