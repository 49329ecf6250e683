"""Installing: verify a bundle once, then keep it under a key that only this device has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from modelkeep.bundle.access import Access, IdentityLike, unlock_bundle
from modelkeep.bundle.installer import install as install_unlocked
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.trust.bundle_verifier import BundleVerifier


def install(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: Iterable[str] = (),
    force: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Checks every byte of a bundle and writes an installation of it; returns the new file.

    Opening an installation needs no digests, so it runs at the speed of the cipher, and no holder of
    the bundle's data key can forge it. Afterwards epochs below this one do not count on this device.

    Args:
        path: the bundle.
        target: the installation to write, for example ``installed.keep``.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        posture: names of what this device was found to be, for grants that demand some.
        force: replace an existing file.
        progress: told the bytes that are done; called from several threads.

    Raises:
        RollbackError: a higher epoch of this model was installed before.
        UsageError: the file exists and `force` is not set, or the publisher is not verified.
        KeepError: as for opening a session.
    """
    with (
        Access(identity, verifier, grant_file, posture) as access,
        unlock_bundle(path, access) as unlocked,
    ):
        install_unlocked(unlocked, access.identity, Path(target), force=force, progress=progress)
    return Path(target)
