"""The lease: a record beside an installation that moves its end, and nothing else.

An installation never changes. What a newer grant allows is kept in a file of its own, which is an
install record like the one inside, but for a later end. Source: spec/install-v1.md, "Lease".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from modelkeep.bundle.install_record import LARGEST_RECORD, InstallHeader, InstallRecord
from modelkeep.errors import TamperedError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.manifest import Manifest
from modelkeep.storage import named, read_small, words_for


def lease_path(installation: Path) -> Path:
    """Returns where the lease of an installation is: next to it."""
    return installation.with_name(f"{installation.name}.lease")


def read_lease(installation: Path) -> InstallRecord | None:
    """Returns the lease beside an installation, or None; it is authentic only when its key unwraps.

    Raises:
        StorageError: cannot be read.
        MalformedError: not an install record.
    """
    path = lease_path(installation)
    with words_for(path):
        if not path.exists():
            return None
    with named(path):
        return InstallRecord.from_bytes(read_small(path, LARGEST_RECORD, "a lease"))


def in_force(installed: InstallRecord, lease: InstallRecord | None, manifest: Manifest) -> InstallRecord:
    """Returns the record whose end counts: of both the later one.

    A lease that was left beside by an earlier installation is passed over.

    Raises:
        TamperedError: the lease says more than a later end, or the bundle cannot be leased.
    """
    if lease is None or lease.header.installation != installed.header.installation:
        return installed
    ends = lease.header.constraints.not_after, installed.header.constraints.not_after
    if ends[0] is None or renewed(installed.header, ends[0]) != lease.header or not manifest.grant_issuers:
        raise TamperedError(
            "the lease says something else than the installation, beyond its end",
            hint="remove it, and renew or install again",
        )
    return installed if ends[1] is None or ends[1] >= ends[0] else lease


def check_leasable(grant_issuers: Collection[bytes], grants: Iterable[Constraints]) -> None:
    """Refuses to lease a bundle in which something else than leases counts, too.

    Args:
        grant_issuers: whose grants the bundle takes; of anybody who holds its key, if it is empty.
        grants: what the grants demand that it brings along.

    Raises:
        UsageError: it takes grants of anybody, or one never ends. Who may grant holds the key anyway.
    """
    if not grant_issuers:
        raise UsageError(
            "a bundle on leases takes signed grants only: else whoever holds its key writes one without end",
            hint="seal it with --grant-signer",
        )
    if any(each.not_after is None and not each.delegate for each in grants):
        raise UsageError(
            "a bundle on leases has no grant without end, but for those who may grant",
            hint="seal it with --not-after, or for administrators alone",
        )


def renewed(header: InstallHeader, not_after: int) -> InstallHeader:
    """Returns the same header with another end (seconds since 1970-01-01 UTC)."""
    return header._replace(constraints=replace(header.constraints, not_after=not_after))
