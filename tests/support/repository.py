"""A small real repository on static files, made by the ceremony itself: two people, one family of models."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import public_key
from modelkeep.trust.signer import BundleSigner, Signer
from modelkeep.updates.repository.ceremony import Ceremony
from modelkeep.updates.repository.family import Family
from modelkeep.updates.repository.plan import ONLINE, PHASE, PUBLISHER, Plan
from modelkeep.updates.repository.progress import Progress
from modelkeep.updates.repository.publishing import Publication, Wishes, publish
from modelkeep.updates.repository.repository import Repository
from support.workshop import Workshop

PEOPLE = ("alice", "bob")
EVERYBODY = Wishes(share=1000)
FAMILIES = (Family("", ("acme/*",)),)


class SmallRepository:
    """A repository and all keys of it.

    Attributes:
        workshop: who seals what is published, and whose device is granted.
        clock: what the clocks of publishers say; tests may set it.
        repository: the publisher's side of it; `repository.folder` is what a web server shows.
        plan: who signs what, without keys.
        keys: the signer of each place of the plan.
    """

    def __init__(
        self,
        workshop: Workshop,
        *,
        threshold: int = 2,
        families: tuple[Family, ...] = FAMILIES,
        name: str = "repository",
    ) -> None:
        self._take(workshop, Plan(PEOPLE, threshold, families), name)
        self.keys: dict[str, BundleSigner] = {place: new_signer() for place in self.plan.places}
        for place in self.plan.places:
            if place.startswith(PUBLISHER):
                self.keys[place] = workshop.signer if place == PUBLISHER else new_signer()
        ceremony = Ceremony(self.repository)
        ceremony.begin(self.plan)
        for place, signer in self.keys.items():
            ceremony.bring(place, signer.public_key)
        progress = self.advance()
        assert progress.is_published, progress.waiting

    @classmethod
    def copy_of(cls, other: SmallRepository, workshop: Workshop, name: str = "repository") -> SmallRepository:
        """Returns a repository with the keys of another one and what is in it, which takes less time.

        The workshop seals with the other's key from then on.
        """
        small = cls.__new__(cls)
        workshop.signer = other.workshop.signer
        workshop.publisher_public = public_key.to_pem(workshop.signer.public_key)
        small._take(workshop, other.plan, name)
        small.clock, small.keys = other.clock, dict(other.keys)
        shutil.copytree(other.folder, small.folder)
        return small

    def _take(self, workshop: Workshop, plan: Plan, name: str) -> None:
        self.workshop, self.plan = workshop, plan
        self.clock = time.time()
        self.repository = Repository(workshop.folder / name, clock=lambda: self.clock)

    def advance(self) -> Progress:
        """Lets everybody sign what the ceremony has for them."""
        ceremony = Ceremony(self.repository)
        progress = ceremony.advance()
        return ceremony.advance(self.channel_signers, self.trust_signers, progress.digest)

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
    def signers(self) -> list[BundleSigner]:
        """The keys that a release takes."""
        return self.named("models", PHASE, ONLINE)

    @property
    def channel_signers(self) -> list[BundleSigner]:
        """All keys that sign metadata of TUF."""
        others = (".trust", PUBLISHER)
        return [self.keys[place] for place in self.keys if not any(word in place for word in others)]

    @property
    def trust_signers(self) -> list[BundleSigner]:
        """All keys that sign trust files."""
        return [self.keys[place] for place in self.keys if place.endswith(".trust")]

    def named(self, *places: str) -> list[BundleSigner]:
        """Returns the keys of some places."""
        return [self.keys[place] for place in places]

    def publish(
        self, bundle: Path | None = None, *, wishes: Wishes = EVERYBODY, **sealing: Any
    ) -> Publication:
        """Publishes a bundle, or one that is sealed now, for everybody."""
        return publish(self.repository, bundle or self.workshop.seal(**sealing), self.signers, wishes=wishes)


def new_signer() -> Signer:
    """Returns a signer with a new key in memory."""
    return Signer(ec.generate_private_key(ec.SECP256R1()))
