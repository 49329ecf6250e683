"""A release goes into a repository: refused where a device would refuse it, before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from modelkeep import dsse
from modelkeep.channels.channel import Channel
from modelkeep.errors import KeepError, RollbackError, UnavailableError, UsageError, WrongModelError
from modelkeep.grants import sidecar
from modelkeep.grants.grant import Grant
from modelkeep.manifest import Manifest
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.phase import EVERYBODY, Offer, Phase
from modelkeep.updates.release_document import NOTHING, ReleaseDocument, Requires
from modelkeep.updates.repository import offering
from modelkeep.updates.repository.candidate import Candidate, candidate
from modelkeep.updates.repository.catalogue import HIGHEST, Catalogue
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import PHASE_ROLE, TARGETS
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signers import RoleSigners

LONGEST_JUMP = 1000
BUNDLES = "bundles"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a publication besides.

    Attributes:
        share: how many of a thousand devices take the release at once.
        grants: file of grants, as `modelkeep grant` writes it; None where those in the bundle are all.
        requires: what devices have to have; the disk is added.
        jump: whether the epoch may be far above the last one.
        leased: whether all grants have to have an end, and to be signed: then devices can be let go.
        attempt: of a release that is published already: raised, devices where it failed try it again.
    """

    share: int = 0
    grants: str | os.PathLike[str] | None = None
    requires: Requires = NOTHING
    jump: bool = False
    leased: bool = False
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published.

    Attributes:
        document: the release document.
        manifest: what was signed.
        copied: bytes of the bundle that were written; 0 where it was there already.
        grants: how many grants there are for it.
    """

    document: ReleaseDocument
    manifest: Manifest
    copied: int
    grants: int = 0


def publish(
    repository: Repository,
    bundle: str | os.PathLike[str],
    signers: Sequence[dsse.EcdsaSigner],
    *,
    wishes: Wishes = Wishes(),
    progress: Progress = no_progress,
) -> Publication:
    """Publishes a release: checked, copied, listed, and offered to a share of the devices.

    What was interrupted is done by doing it again.

    Args:
        repository: where.
        bundle: its archive.
        signers: keys of the model's family, of phases, of snapshot and timestamp.
        wishes: what is asked besides.
        progress: told the bytes of each segment.

    Raises:
        RefusedError: a device would not take it, or it does not order above everything published.
        MalformedError: not a bundle.
        UsageError: no family has the model, too few keys, or a jump of the epoch.
        TamperedError: the repository is not what was signed.
        UnavailableError: something cannot be read or written; what was published goes on counting.
    """
    keys = RoleSigners(signers)
    with repository.changing() as edition:
        publication = add(repository, edition, bundle, keys, wishes, progress)
        repository.write(edition, keys)
    return publication


def add(
    repository: Repository,
    edition: Edition,
    bundle: str | os.PathLike[str],
    signers: RoleSigners,
    wishes: Wishes,
    progress: Progress,
) -> Publication:
    """Lists a release in an edition and copies its bundle; raises what `publish` does."""
    verifier = repository.verifier(Catalogue(edition))
    with candidate(Path(bundle), verifier) as found:
        publication = _Listing(edition, verifier).add(found, wishes)
        edition.check_signers(signers)
        count = _check_grants(found, wishes)
        copied = _place(repository.channel, publication.document, found, verifier, progress)
    _place_grants(repository.channel, publication.document, publication.manifest, wishes)
    return replace(publication, copied=copied, grants=count)


class _Listing:
    """Lists releases in an edition, and what is offered of them."""

    def __init__(self, edition: Edition, verifier: Verifier) -> None:
        self._edition, self._verifier = edition, verifier
        self._catalogue = Catalogue(edition)

    def add(self, found: Candidate, wishes: Wishes) -> Publication:
        """Lists a release, and offers it; what is neither offered nor newer is listed no more.

        Raises:
            RefusedError: its family or its place is not one that can be published.
            UsageError: no family has the model, or a jump of the epoch.
        """
        manifest, role = found.manifest, self._catalogue.role_of(found.manifest.model)
        self._check_family(manifest, role)
        document = _document(found, wishes, self._edition.root.signed.version)
        known = self._catalogue.releases(manifest.model).get(document.name)
        if known is None:
            self._check_order(manifest, wishes)
            self._note_place(role, manifest)
            self._delist(role, self._offer(document, wishes.share))
        else:
            document = _again(known, document, wishes.attempt)
            self._offer_again(document)
        self._edition.put(role, document.name, document.to_bytes())
        return Publication(document, manifest, 0)

    def _note_place(self, role: str, manifest: Manifest) -> None:
        places = {**self._catalogue.places(role), manifest.model: manifest.order}
        self._edition.note(role, **{HIGHEST: {model: list(place) for model, place in places.items()}})

    def _offer(self, document: ReleaseDocument, share: int) -> Phase:
        offer = Offer(document.name, document.attempt, share)
        phase = offering.with_offer(self._catalogue.phase(document.model), offer)
        if share == EVERYBODY:
            phase = offering.promoted(phase, document.name)
        self._edition.put(PHASE_ROLE, phase.name, phase.to_bytes())
        return phase

    def _offer_again(self, document: ReleaseDocument) -> None:
        phase = self._catalogue.phase(document.model)
        changed = offering.with_attempt(phase, document.name, document.attempt)
        if changed != phase:
            self._edition.put(PHASE_ROLE, changed.name, changed.to_bytes())

    def _delist(self, role: str, phase: Phase) -> None:
        """Lists no more what is not offered; but for what was withdrawn and is not yet forgotten."""
        listed = self._catalogue.releases(phase.model)
        offered = {each.release for each in phase.offers}
        lowest = min((each.order for name, each in listed.items() if name in offered), default=None)
        for name, document in listed.items():
            if name not in offered and (lowest is None or document.order < lowest):
                self._edition.remove(role, name)

    def _check_family(self, manifest: Manifest, role: str) -> None:
        family = self._catalogue.family_of(role)
        if manifest.family != family:
            raise WrongModelError(
                f"the bundle is of family {manifest.family!r}, and models like {manifest.model} are of "
                f"family {family!r} here",
                hint="seal it with --family, as the repository has it",
            )

    def _check_order(self, manifest: Manifest, wishes: Wishes) -> None:
        floor = self._verifier.floor(manifest.model)
        highest = self._catalogue.highest(manifest.model)
        if floor is not None and manifest.order < floor:
            raise RollbackError(f"release {manifest.order} is below {floor}, the trust file's floor")
        if highest is None:
            return
        if manifest.order <= highest:
            raise RollbackError(
                f"release {manifest.order} is not above {highest}, which was published before",
                hint=f"seal it again: modelkeep seal --epoch {highest.epoch + 1}",
            )
        _check_jump(manifest.order, highest, wishes)


def _check_jump(order: ReleaseOrder, highest: ReleaseOrder, wishes: Wishes) -> None:
    if order.epoch > highest.epoch + LONGEST_JUMP and not wishes.jump:
        raise UsageError(
            f"epoch {order.epoch} is more than {LONGEST_JUMP} above {highest.epoch}; none below can follow",
            hint="if that is meant, pass --jump",
        )


def _document(found: Candidate, wishes: Wishes, root: int) -> ReleaseDocument:
    manifest, archive = found.manifest, f"{BUNDLES}/{found.digest.hex()}.keep"
    return ReleaseDocument(
        model=manifest.model,
        bundle=manifest.bundle,
        order=manifest.order,
        manifest=found.digest,
        archive=archive,
        size=found.size,
        grants=None if wishes.grants is None else f"{archive}.grants",
        requires=replace(wishes.requires, disk=wishes.requires.disk or found.size),
        root=root,
    )


def _again(known: ReleaseDocument, document: ReleaseDocument, attempt: int) -> ReleaseDocument:
    """Returns what is said of a release that is published already and comes again."""
    if (known.manifest, known.size) != (document.manifest, document.size):
        raise UsageError(
            f"{document.name} is published already, with other contents",
            hint="grants that come later go into a file of grants: --grants",
        )
    grants = document.grants or known.grants
    attempt = max(known.attempt, attempt)
    return replace(document, grants=grants, attempt=attempt, withdrawn=known.withdrawn, root=known.root)


def _place(
    channel: Channel, document: ReleaseDocument, found: Candidate, verifier: Verifier, progress: Progress
) -> int:
    """Copies the bundle while it is checked; returns how many bytes were written."""
    name = f"{TARGETS}/{document.archive}"
    if _is_there(channel, name, document, verifier, progress):
        return 0
    channel.put(name, found.pieces(progress))
    return document.size


def _is_there(
    channel: Channel, name: str, document: ReleaseDocument, verifier: Verifier, progress: Progress
) -> bool:
    try:
        stream = channel.open(name, largest=document.size)
    except UnavailableError:
        return False
    try:
        Candidate(stream, document.size, verifier).check(document.manifest, progress)
    except KeepError:
        return False
    else:
        return True
    finally:
        stream.close()


def _check_grants(found: Candidate, wishes: Wishes) -> int:
    """Refuses grants that are not of this bundle, or not what is wished; returns how many there are."""
    if wishes.leased and not found.manifest.grant_issuers:
        raise UsageError("anybody who has it may grant this bundle", hint="seal it with --grant-signer")
    beside = () if wishes.grants is None else sidecar.read(wishes.grants, required=True)
    count = 0
    for count, grant in enumerate(chain(found.grants(), beside), start=1):  # noqa: B007 (the last one counts)
        _check_grant(grant, found.manifest, wishes)
    return count


def _check_grant(grant: Grant, manifest: Manifest, wishes: Wishes) -> None:
    header = grant.header
    if header.bundle != manifest.bundle:
        raise WrongModelError(f"a grant is of bundle {header.bundle.hex()}, not of {manifest.bundle.hex()}")
    # Who grants has to be able to open it as long as there is something to grant.
    if wishes.leased and header.constraints.not_after is None and not header.constraints.delegate:
        raise UsageError(
            f"the grant for key {header.key_id.hex()} has no end", hint="grant it with --not-after +30d"
        )


def _place_grants(channel: Channel, document: ReleaseDocument, manifest: Manifest, wishes: Wishes) -> None:
    if wishes.grants is not None and document.grants is not None:
        channel.put(f"{TARGETS}/{document.grants}", _lines(wishes, manifest))


def _lines(wishes: Wishes, manifest: Manifest) -> Iterator[bytes]:
    assert wishes.grants is not None
    for grant in sidecar.read(wishes.grants, required=True):
        # Once more: the file may be another one by now.
        _check_grant(grant, manifest, wishes)
        yield (grant.received or grant.to_bytes()) + b"\n"
