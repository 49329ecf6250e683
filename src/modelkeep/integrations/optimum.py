"""Optimum: a sealed ONNX export as a model of one of its classes ``ORTModelFor...``."""

from __future__ import annotations

import os
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

from modelkeep.bundle.access import IdentityLike
from modelkeep.errors import RuntimeMissingError, UsageError
from modelkeep.integrations.checked_session import CheckedSession, open_checked
from modelkeep.trust.bundle_verifier import BundleVerifier

try:
    from optimum.onnxruntime import ORTModel
    from transformers import AutoConfig
except ImportError as missing:
    raise RuntimeMissingError(
        "optimum with ONNX Runtime is not installed", hint="pip install 'modelkeep[optimum]'"
    ) from missing

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_Kind = TypeVar("_Kind", bound="ORTModel")


def open_model(
    kind: type[_Kind],
    bundle: str | os.PathLike[str],
    config: PretrainedConfig | str | os.PathLike[str],
    *,
    identity: IdentityLike | None = None,
    verifier: BundleVerifier | None = None,
    **options: Any,
) -> _Kind:
    """Opens a sealed model as one of Optimum's; what `kind.from_pretrained` does with a folder.

    Each call is checked by contract and guard. ``model.session.close()`` wipes the model.

    Args:
        kind: a class of one session, for example `ORTModelForSequenceClassification`.
        bundle: the sealed ONNX model.
        config: of the model, or the folder that has its ``config.json``; nothing of it is verified.
        identity: see `open_session`; by default as the settings say. So is `verifier`.
        verifier: whom to trust, and which model to accept.
        options: of `open_session`.

    Raises:
        KeepError: see `open_session`; UsageError for a class of several sessions, or another runtime.
    """
    if not _takes_a_session(kind):
        raise UsageError(
            f"{getattr(kind, '__name__', kind)!s:.100} is no class of one session of Optimum's",
            hint="pass one such as ORTModelForSequenceClassification",
        )
    found = AutoConfig.from_pretrained(os.fspath(config)) if isinstance(config, str | os.PathLike) else config
    session = open_checked(bundle, identity=identity, verifier=verifier, **options)
    try:
        return _made(kind, found, session)
    except BaseException:
        session.close()
        raise


class _NoBinding:
    """In place of the binding of memory that Optimum prepares: runs by it would not be checked."""

    def __init__(self, session: CheckedSession) -> None:
        self._session = session

    def __getattr__(self, _name: str) -> Any:
        return self._session.io_binding


def _made(kind: type[_Kind], config: Any, session: CheckedSession) -> _Kind:
    with session.bindable():
        opened: _Kind = kind(config=config, session=session, use_io_binding=False)
    opened._io_binding = _NoBinding(session)
    return opened


def _takes_a_session(kind: Any) -> bool:
    is_model = isinstance(kind, type) and issubclass(kind, ORTModel)
    return is_model and "session" in signature(kind).parameters
