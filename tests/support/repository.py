"""A small real repository on static files, made by the ceremony itself: two people, one family of models."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.trust.signer import Signer
from modelkeep.updates.repository.ceremony import Ceremony
from modelkeep.updates.repository.family import Family
from modelkeep.updates.repository.plan import ONLINE, PHASE, PUBLISHER, Plan
from modelkeep.updates.repository.progress import Progress
from modelkeep.updates.repository.publishing import Publication, Wishes, publish
from modelkeep.updates.repository.repository import Repository
from support.workshop import Workshop

PEOPLE = ("alice", "bob")
EVERYBODY = Wishes(share=1000)


class SmallRepository:
    """A repository and all keys of it.

    Attributes:
        workshop: who seals what is published, and whose device is granted.
        clock: what the clocks of publishers say; tests may set it.
        repository: the publisher's side of it; `repository.folder` is what a web server shows.
        keys: the signer of each place of the plan.
    """

    def __init__(
        self,
        workshop: Workshop,
        *,
        threshold: int = 2,
        families: tuple[Family, ...] = (Family("", ("acme/*",)),),
        name: str = "repository",
    ) -> None:
        self.workshop = workshop
        self.clock = time.time()
        self.repository = Repository(workshop.folder / name, clock=lambda: self.clock)
        plan = Plan(PEOPLE, threshold, families)
        self.keys = {place: new_signer() for place in plan.places}
        self.keys[PUBLISHER] = workshop.signer
        ceremony = Ceremony(self.repository)
        ceremony.begin(plan)
        for place, signer in self.keys.items():
            ceremony.bring(place, signer.public_key)
        progress = self.advance()
        assert progress.is_published, progress.waiting

    def advance(self) -> Progress:
        """Lets everybody sign what the ceremony has for them."""
        ceremony = Ceremony(self.repository)
        trust = [signer for place, signer in self.keys.items() if place.endswith(".trust")]
        channel = [
            signer
            for place, signer in self.keys.items()
            if not place.endswith(".trust") and not place.startswith(PUBLISHER)
        ]
        return ceremony.advance(channel, trust, ceremony.advance().digest)

    @property
    def folder(self) -> Path:
        """What a web server shows."""
        return self.repository.folder

    @property
    def first_root(self) -> bytes:
        """The root of TUF that devices are given."""
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    @property
    def roots(self) -> bytes:
        """The roots document that devices are given."""
        return self.repository.published().documents["trust/roots.json"]

    @property
    def signers(self) -> list[Signer]:
        """The keys that a release takes."""
        return [self.keys[place] for place in ("models", PHASE, ONLINE)]

    def publish(
        self, bundle: Path | None = None, *, wishes: Wishes = EVERYBODY, **sealing: Any
    ) -> Publication:
        """Publishes a bundle, or one that is sealed now, for everybody."""
        return publish(self.repository, bundle or self.workshop.seal(**sealing), self.signers, wishes=wishes)


def new_signer() -> Signer:
    """Returns a signer with a new key in memory."""
    return Signer(ec.generate_private_key(ec.SECP256R1()))
