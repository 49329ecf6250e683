"""What there is to know of a repository, at a look: roles and their ends, releases and how far they went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelkeep.errors import KeepError
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.trust_policy import everybody_in
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.phase import Offer
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository.candidate import Candidate
from modelkeep.updates.repository.catalogue import Catalogue
from modelkeep.updates.repository.metadata import (
    ROOT_ROLE,
    SNAPSHOT_ROLE,
    TARGETS,
    TARGETS_ROLE,
    TIMESTAMP_ROLE,
    Metadata,
    ends_at,
    is_half_over,
)
from modelkeep.updates.repository.published import Published
from modelkeep.updates.repository.publishing import BUNDLES
from modelkeep.updates.repository.repository import Repository, check_archive


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """A role.

    Attributes:
        name: what it is called.
        version: of its newest document.
        expires: last second at which that counts, since 1970-01-01 UTC.
        is_due: whether half of its time is over.
        threshold: how many of its keys have to sign.
        keys: their fingerprints.
    """

    name: str
    version: int
    expires: int
    is_due: bool
    threshold: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """A release.

    Attributes:
        document: what is said of it.
        offer: to how many devices it goes; None if to none.
        problem: what is wrong with its bundle, or None.
    """

    document: ReleaseDocument
    offer: Offer | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A repository, at a look.

    Attributes:
        roles: all of them.
        trust: the trust file.
        releases: those that are listed, by model and place.
        unlisted: names of bundles that nothing lists any more.
    """

    roles: tuple[RoleFacts, ...]
    trust: TrustFile
    releases: tuple[ReleaseFacts, ...]
    unlisted: tuple[str, ...]


def overview(repository: Repository, *, every_byte: bool = False) -> Overview:
    """Reads and verifies a repository.

    Args:
        repository: which one.
        every_byte: also read all bundles, and hold them against what is signed.

    Raises:
        UsageError: no repository is there.
        TamperedError: it is not what was signed, or another one than was seen here before.
        RollbackError: it is older than what was seen here before.
        StorageError: it cannot be read.
    """
    published = repository.published()
    repository.check_known(published)
    catalogue = Catalogue(published)
    trust = catalogue.trust()
    # Whether a release is still wanted is another matter than whether its bytes are those that were signed.
    verifier = Verifier(*everybody_in(trust), model=UnsafeAnyModel()) if every_byte else None
    releases = catalogue.all_releases()
    facts = [_release(repository, catalogue, document, verifier) for document in releases]
    return Overview(
        tuple(_roles(published, repository.now)),
        trust,
        tuple(facts),
        tuple(_unlisted(repository.folder, {document.archive for document in releases})),
    )


def _release(
    repository: Repository, catalogue: Catalogue, document: ReleaseDocument, verifier: Verifier | None
) -> ReleaseFacts:
    problem = None
    try:
        check_archive(repository.channel, document)
        if verifier is not None:
            _check_bytes(repository, document, verifier)
    except KeepError as error:
        problem = str(error)
    return ReleaseFacts(document, catalogue.phase(document.model).offer_of(document.name), problem)


def _check_bytes(repository: Repository, document: ReleaseDocument, verifier: Verifier) -> None:
    stream = repository.channel.open(f"{TARGETS}/{document.archive}", largest=document.size)
    try:
        Candidate(stream, document.size, verifier).check(document.manifest)
    finally:
        stream.close()


def _roles(published: Published, now: int) -> list[RoleFacts]:
    root, targets = published.root, published.targets
    top: dict[str, Metadata[Any]] = {
        ROOT_ROLE: root,
        TARGETS_ROLE: targets,
        SNAPSHOT_ROLE: published.snapshot,
        TIMESTAMP_ROLE: published.timestamp,
    }
    found = []
    for name, metadata in (*top.items(), *published.roles.items()):
        asked = (root.signed if name in top else targets.signed).get_delegated_role(name)
        signed = metadata.signed
        due = is_half_over(signed, name, now)
        keys = tuple(sorted(asked.keyids))
        found.append(RoleFacts(name, signed.version, ends_at(signed), due, asked.threshold, keys))
    return found


def _unlisted(folder: Path, listed: set[str]) -> list[str]:
    bundles = folder / TARGETS / BUNDLES
    found = sorted(path.name for path in bundles.glob("*.keep")) if bundles.is_dir() else []
    return [name for name in found if f"{BUNDLES}/{name}" not in listed]
