"""Renewing: a newer grant moves the end of what is installed. Source: spec/install-v1.md, "Lease"."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from modelkeep.bundle.access import Access
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, wrapping_context
from modelkeep.bundle.installation import AuthenticInstallation, Installation
from modelkeep.bundle.lease import lease_path, renewed
from modelkeep.bundle.rollback import remembering
from modelkeep.bundle.unwrapping import unwrap
from modelkeep.device.local_key import LocalKey
from modelkeep.errors import RefusedError
from modelkeep.grants import sidecar
from modelkeep.grants.grant import Grant
from modelkeep.keys.identity import UnwrappedGrant
from modelkeep.storage import write_file


def renew(installation: Installation, access: Access, grant_file: str | os.PathLike[str]) -> int:
    """Writes a lease beside an installation: until when the grant with the latest end lets it open.

    Args:
        installation: what was installed, be its end over or not.
        access: the key of this device, whom to trust, and the device's posture.
        grant_file: where to look for grants of the bundle that was installed.

    Returns:
        The new end, in seconds since 1970-01-01 UTC.

    Raises:
        RefusedError: the bundle takes grants of anybody, has no end here, or no grant has a later one;
            or the grant demands something else than what was installed.
        KeepError: as for `Installation.unlock` and `unwrap`.
    """
    identity = access.identity
    with (
        remembering(identity, access.verifier) as remembered,
        installation.authentic(remembered) as found,
    ):
        glance = identity.glance(found.signed.manifest.bundle)
        grants = _later(sidecar.read(grant_file, required=True, glance=glance), found)
        with unwrap(found.signed, identity, grants, posture=access.posture) as granted:
            header = _new_header(found.header, granted)
        record = _record(header, found, remembered.state.local)
    write_file(lease_path(installation.path), record.to_bytes(), force=True, mode=0o600)
    end = header.constraints.not_after
    assert end is not None
    return end


def _later(grants: Iterable[Grant], found: AuthenticInstallation) -> list[Grant]:
    """Returns the grants that end later than what is installed, the latest first."""
    if not found.signed.manifest.grant_issuers:
        raise RefusedError(
            "this bundle takes grants of anybody who holds its key, so that nothing bounds them",
            hint="the publisher seals with --grant-signer",
        )
    end = found.header.constraints.not_after
    if end is None:
        raise RefusedError("what is installed has no end", hint="there is nothing to renew")
    later = sorted((each for each in grants if _end(each) > end), key=_end, reverse=True)
    if not later:
        raise RefusedError("no grant ends later than what is installed", hint="ask for a new grant")
    return later


def _end(grant: Grant) -> int:
    # One without an end leases nothing.
    return grant.header.constraints.not_after or 0


def _new_header(header: InstallHeader, granted: UnwrappedGrant) -> InstallHeader:
    constraints = replace(granted.constraints, delegate=False)
    assert constraints.not_after is not None
    new = renewed(header, constraints.not_after)
    if (new.constraints, new.device_id) != (constraints, granted.device_id):
        raise RefusedError(
            "the grant demands something else than the one that was installed with, beyond its end",
            hint="install the bundle again with this grant",
        )
    return new


def _record(header: InstallHeader, found: AuthenticInstallation, local: LocalKey) -> InstallRecord:
    data = header.to_bytes()
    wrapped = local.wrap(memoryview(found.install_key), wrapping_context(data))
    return InstallRecord(header, data, wrapped)
