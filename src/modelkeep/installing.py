"""Installing: verify a bundle once, then keep it under a key that only this device has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelkeep.bundle.access import Access, IdentityLike, unlock_bundle
from modelkeep.bundle.installer import install as install_unlocked
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.bundle_verifier import BundleVerifier


@dataclass(frozen=True, slots=True)
class InstallReport:
    """What an installation replaced with what.

    Attributes:
        path: the installation.
        model: the model's id.
        before: the release that counted before on this device, or None for the first one.
        now: the release that counts now.
    """

    path: Path
    model: str
    before: ReleaseOrder | None
    now: ReleaseOrder

    def __str__(self) -> str:
        before = "nothing" if self.before is None else self.before.epoch
        return f"{self.model} {before} -> {self.now.epoch}"


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
) -> InstallReport:
    """Checks every byte of a bundle and writes an installation of it.

    Opening an installation needs no digests, so it runs at the speed of the cipher, and no holder of
    the bundle's data key can forge it. Afterwards releases older than this one do not count on this device,
    neither as bundles nor as installations.

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
        RollbackError: a newer release of this model was installed before.
        UsageError: the file exists and `force` is not set, or the publisher is not verified.
        KeepError: as for opening a session.
    """
    with (
        Access(identity, verifier, grant_file, posture) as access,
        unlock_bundle(path, access) as unlocked,
    ):
        before = install_unlocked(
            unlocked, access.identity, verifier, Path(target), force=force, progress=progress
        )
        return InstallReport(Path(target), unlocked.manifest.model, before, unlocked.manifest.order)
