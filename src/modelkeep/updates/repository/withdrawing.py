"""A release is taken back: nobody stages or tries it any more; who has it keeps it until another comes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelkeep import dsse
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.updates.phase import EVERYBODY
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository import offering
from modelkeep.updates.repository.catalogue import Catalogue
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import PHASE_ROLE
from modelkeep.updates.repository.publishing import Publication, Wishes, add
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signers import RoleSigners


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What was withdrawn.

    Attributes:
        document: the document of the release, by now.
        replacement: what was published in its place, or None.
    """

    document: ReleaseDocument
    replacement: Publication | None = None


def withdraw(
    repository: Repository,
    model: str,
    bundle: bytes,
    signers: Sequence[dsse.EcdsaSigner],
    *,
    replacement: str | os.PathLike[str] | None = None,
    wishes: Wishes = Wishes(share=EVERYBODY),  # noqa: B008 (it never changes)
    progress: Progress = no_progress,
) -> Withdrawal:
    """Withdraws a release; in the same edition, another one may take its place.

    Args:
        repository: where.
        model: the model's id.
        bundle: id of the bundle.
        signers: keys of the model's family, of phases, of snapshot and timestamp.
        replacement: a bundle that orders above it: devices never go back, so that old weights come as a new
            release.
        wishes: how the replacement is published.
        progress: told the bytes of each of its segments.

    Raises:
        UsageError: it is not listed, or too few keys.
        KeepError: as for `publish`, of the replacement; nothing is withdrawn then.
    """
    keys = RoleSigners(signers)
    with repository.changing() as edition:
        document = mark_withdrawn(edition, model, bundle)
        edition.check_signers(keys)
        published = None
        if replacement is not None:
            published = add(repository, edition, replacement, keys, wishes, progress)
        repository.write(edition, keys)
    return Withdrawal(document, published)


def mark_withdrawn(edition: Edition, model: str, bundle: bytes) -> ReleaseDocument:
    """Says in an edition that a release is withdrawn, and offers it no more.

    Raises:
        UsageError: it is not listed.
    """
    catalogue = Catalogue(edition)
    document = replace(catalogue.release(model, bundle), withdrawn=True)
    edition.put(catalogue.role_of(model), document.name, document.to_bytes())
    phase = offering.without(catalogue.phase(model), document.name)
    edition.put(PHASE_ROLE, phase.name, phase.to_bytes())
    return document
