"""A bundle is revoked: it opens nowhere from the moment a device sees the trust file that says so.

Where the revoked release counts, the device stands still until it has another one, so that one comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelkeep import dsse
from modelkeep.errors import RollbackError, UsageError
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.phase import EVERYBODY
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository.catalogue import TRUST_NAME, Catalogue
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import TARGETS_ROLE
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signers import RoleSigners
from modelkeep.updates.repository.withdrawing import mark_withdrawn


def revoke(
    repository: Repository,
    model: str,
    bundle: bytes,
    trust: bytes,
    signers: Sequence[dsse.EcdsaSigner],
    *,
    stop_devices: bool = False,
) -> ReleaseDocument:
    """Publishes a trust file that revokes a bundle, and withdraws its release.

    Args:
        repository: where.
        model: the model's id.
        bundle: id of the bundle.
        trust: the trust file, as its roots have signed it.
        signers: keys of targets, of the model's family, of phases, of snapshot and timestamp.
        stop_devices: whether devices may stand still for want of a newer release.

    Raises:
        UsageError: the trust file does not revoke it, nothing newer is there for everybody, or too few keys.
        RollbackError: the trust file is not newer than the one that is published.
        SignatureError, MalformedError: it does not hold.
        TamperedError: the repository is not what was signed.
        UnavailableError: it cannot be written; what was published goes on counting.
    """
    keys = RoleSigners(signers)
    with repository.changing() as edition:
        _take_trust(edition, trust, bundle)
        document = mark_withdrawn(edition, model, bundle)
        if not stop_devices:
            _check_replaced(Catalogue(edition), document)
        edition.check_signers(keys)
        repository.write(edition, keys)
    return document


def _take_trust(edition: Edition, data: bytes, bundle: bytes) -> None:
    before = Catalogue(edition).trust()
    edition.put(TARGETS_ROLE, TRUST_NAME, data)
    trust = Catalogue(edition).trust()
    if trust.number <= before.number:
        raise RollbackError(
            f"trust file {trust.number} is not newer than {before.number}, which is published",
            hint="make the next one: modelkeep trust next",
        )
    if not _revokes(trust, bundle):
        raise UsageError(
            f"this trust file does not revoke bundle {bundle.hex()}",
            hint="modelkeep trust next --revoke-bundle",
        )


def _check_replaced(catalogue: Catalogue, revoked: ReleaseDocument) -> None:
    releases, trust = catalogue.releases(revoked.model), catalogue.trust()
    for offer in catalogue.phase(revoked.model).offers:
        release = releases.get(offer.release)
        if release is None or offer.share < EVERYBODY or offer.paused or release.withdrawn:
            continue
        if release.order > revoked.order and not _revokes(trust, release.bundle):
            return
    raise UsageError(
        "devices that have this release would stand still: nothing newer is there for all of them",
        hint="publish a newer one for everybody first, or pass --stop-devices",
    )


def _revokes(trust: TrustFile, bundle: bytes) -> bool:
    return bundle in trust.revoked_bundles or bundle in trust.void
