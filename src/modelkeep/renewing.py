"""Renewing: let a newer grant move the end of what is installed, without installing it again."""

from __future__ import annotations

import os
from collections.abc import Iterable

from modelkeep.bundle.access import Access, IdentityLike
from modelkeep.bundle.installation import Installation
from modelkeep.bundle.renewal import renew as renew_installation
from modelkeep.bundle.rollback import remembering
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.trust.bundle_verifier import BundleVerifier


def renew(
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str],
    posture: Iterable[str] = (),
) -> int:
    """Moves the end of an installation to that of a newer grant for the same bundle.

    The bundle is not needed. What the grant demands besides its end has to be what was demanded when the
    model was installed; the later of both ends counts, so that no grant shortens what another gave.

    Args:
        path: the installation, or a folder of slots; the lease is written next to it, as ``PATH.lease``.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        grant_file: where the newer grant is; of several, the one with the latest end is taken.
        posture: names of what this device was found to be, for grants that demand some.

    Returns:
        The new end, in seconds since 1970-01-01 UTC.

    Raises:
        RefusedError: nothing to renew, nothing newer, or the grant demands something else.
        NotForThisDeviceError: no grant is for this device.
        KeepError: as for opening a session.
    """
    with (
        Access(identity, verifier, posture=posture) as access,
        Installation(_installation(path, access)) as installation,
    ):
        return renew_installation(installation, access, grant_file)


def _installation(path: str | os.PathLike[str], access: Access) -> str | os.PathLike[str]:
    if not SlotFolder.is_at(path):
        return path
    with remembering(access.identity, access.verifier) as remembered:
        return SlotFolder.read(path).current_file(remembered.contents)
