"""Opening for tools that pass a path and nothing else."""

from __future__ import annotations

import os
from typing import Any

from modelkeep.bundle.access import IdentityLike
from modelkeep.configuration import configured_identity, configured_verifier
from modelkeep.opening import open_session
from modelkeep.session import Session
from modelkeep.trust.bundle_verifier import BundleVerifier


def open_configured(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike | None = None,
    verifier: BundleVerifier | None = None,
    **options: Any,
) -> Session:
    """Opens a sealed model; what is not passed is what the settings say, never what lies beside the model.

    Args:
        path: see `open_session`; so are `identity`, `verifier` and `options`.
        identity: the key of this device.
        verifier: whom to trust, and which model to accept.

    Raises:
        KeepError: see `open_session`; UsageError where nothing is set.
    """
    return open_session(
        path,
        identity=configured_identity() if identity is None else identity,
        verifier=configured_verifier() if verifier is None else verifier,
        **options,
    )
