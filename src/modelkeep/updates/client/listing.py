"""What a repository says of one model: one look, of which everything was verified before anything is used.

Source: spec/update-v1.md, "What a repository says".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from modelkeep.bundle.rollback import Remembered
from modelkeep.clock import Clock
from modelkeep.device.tuf_roles import ROOT, TufRole, name_of
from modelkeep.errors import ExpiredError, MalformedError, RefusedError
from modelkeep.trust.envelope import LARGEST_FILE
from modelkeep.updates.client.following import Following
from modelkeep.updates.client.tuf_client import TufClient, repository_id
from modelkeep.updates.phase import LARGEST_PHASE, Offer, Phase, phase_name
from modelkeep.updates.release_document import LARGEST_RELEASE_DOCUMENT, ReleaseDocument, document_name
from modelkeep.updates.repository.catalogue import TRUST_NAME

# Of a copy on a stick they have ended before anybody carries it to a device.
_ONLINE_ROLES = ("timestamp", "snapshot")


class Offered(NamedTuple):
    """A release that is offered.

    Attributes:
        offer: to how many devices.
        document: what the release is.
    """

    offer: Offer
    document: ReleaseDocument


@dataclass(frozen=True, slots=True)
class Listing:
    """What is offered of one model.

    Attributes:
        offered: the releases that may be taken, newest first.
        held_back: the bundle that waits on this device, where it is withdrawn or paused by now; or None.
        ends: when what was read ends, in seconds since 1970-01-01 UTC.
        signed_at: a moment that has certainly passed, as the timestamp's key says; None where it says none.
        requests: how many times the channel was asked.
        interval: how many seconds later the repository wants to be asked again, or None.
        trust: the trust file that the repository carries, or None.
    """

    offered: tuple[Offered, ...]
    held_back: bytes | None
    ends: int
    signed_at: int | None
    requests: int
    interval: int | None
    trust: bytes | None


def look(following: Following, model: str, remembered: Remembered, waiting: bytes | None = None) -> Listing:
    """Asks a repository what it offers of a model; what it says is remembered before it is used.

    Args:
        following: the repository.
        model: the model's id.
        remembered: what the device remembers.
        waiting: the bundle that waits on the device for its trial, or None.

    Raises:
        ExpiredError: it has not been kept up, or somebody keeps newer metadata back.
        RollbackError: this device has seen newer metadata.
        RefusedError: what came is not what the repository's keys say; or nothing is offered of the model.
        MalformedError: what came is of no form that this version knows.
        UnavailableError: the channel does not give it, or the disk cannot be written.
    """
    now = remembered.verifier.clock.for_ends()
    until = None if following.is_copy else now
    client = TufClient(following.channel, following.folder, following.first_root, until)
    with _suspecting(remembered.verifier.clock):
        client.refresh()
        listing = _listing(client, model, waiting)
        if following.is_copy:
            check_copy(client.ends(), now, following.offline_age)
    remembered.state.see_roles(_named(following, client.roles()))
    client.forget_others()
    return listing


@contextmanager
def _suspecting(clock: Clock) -> Iterator[None]:
    """Says of what has ended that it may be the clock, where that shows less than the device remembers."""
    try:
        yield
    except ExpiredError as error:
        if not clock.plausible:
            error.hint = "the clock is behind, or was ahead once: see to it; a copy serves longer (--offline)"
        raise


def _listing(client: TufClient, model: str, waiting: bytes | None) -> Listing:
    documents = _documents(client, model)
    _check_roots(documents, client.root.version)
    is_held_back = waiting is not None and _holds_back(client, model, waiting, documents)
    trust = client.target(TRUST_NAME, LARGEST_FILE)
    return Listing(
        offered=tuple(each for each in documents if not each.document.withdrawn),
        held_back=waiting if is_held_back else None,
        ends=min(client.ends().values()),
        signed_at=client.signed_at,
        requests=client.fetcher.requests,
        interval=client.interval,
        trust=trust,
    )


def check_copy(ends: Mapping[str, int], now: int, age: int) -> None:
    """Accepts a copy whose offline roles are in force and whose snapshot has not ended for too long.

    Args:
        ends: when each role ends, in seconds since 1970-01-01 UTC.
        now: the time by which they end.
        age: seconds for which it counts after the end of the snapshot.

    Raises:
        ExpiredError: it does not count any more.
    """
    ended = sorted(role for role, end in ends.items() if role not in _ONLINE_ROLES and end <= now)
    if ended:
        raise ExpiredError(f"the repository: {ended[0]} is expired", hint="bring a newer copy of it")
    if ends["snapshot"] + age <= now:
        raise ExpiredError(
            f"the repository: this copy ended more than {age // 86_400} days ago",
            hint="bring a newer copy of it",
        )


def _documents(client: TufClient, model: str) -> list[Offered]:
    name = phase_name(model)
    data = client.target(name, LARGEST_PHASE)
    if data is None:
        raise RefusedError(f"the repository offers nothing of {model}", hint="see whether the name is right")
    offers = Phase.from_bytes(data, model).offers
    return [each for offer in offers if (each := _offered(client, offer)) is not None]


def _offered(client: TufClient, offer: Offer) -> Offered | None:
    data = client.target(offer.release, LARGEST_RELEASE_DOCUMENT)
    if data is None:
        raise MalformedError(f"the repository: offers {offer.release}, which it does not list")
    document = ReleaseDocument.from_bytes(data, offer.release)
    # Whoever offers an attempt has seen that one, and no other.
    return Offered(offer, document) if document.attempt == offer.attempt else None


def _holds_back(client: TufClient, model: str, bundle: bytes, documents: Iterable[Offered]) -> bool:
    name = document_name(model, bundle)
    data = client.target(name, LARGEST_RELEASE_DOCUMENT)
    # What is not listed is withdrawn, too.
    is_listed = data is not None and not ReleaseDocument.from_bytes(data, name).withdrawn
    return not is_listed or any(each.offer.paused for each in documents if each.document.name == name)


def _named(following: Following, roles: Mapping[str, TufRole]) -> dict[str, TufRole]:
    repository = repository_id(following.first_root)
    return {name_of(repository, role): seen for role, seen in roles.items()}


def _check_roots(documents: list[Offered], root: int) -> None:
    lowest = max((each.document.root for each in documents), default=1)
    if root < lowest:
        raise RefusedError(
            f"the repository: its releases count from {ROOT} {lowest} on, and it shows none after {root}",
            hint="use the repository itself, or a complete copy of it: no root of its chain may be missing",
        )
