"""A device that follows a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelkeep.bundle.access import Access, unlock
from modelkeep.channels.channel import Channel
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.trust_file import TrustFile
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.client.report import UpdateReport
from modelkeep.updates.client.updater import Updater
from modelkeep.updates.slots import Slots
from support.device import Device
from support.tuf_repository import DAY, TufRepository
from support.workshop import MODEL_ID, Workshop


class Follower:
    """A device with slots, and the repository that it follows unless it is told another.

    Attributes:
        folder: the folder of slots.
        metadata: where it keeps what it has verified of the repository.
        clock: what its clock shows; None for the present.
        trust_days: for how long its trust file counts; None where it has keys alone.
    """

    def __init__(self, workshop: Workshop, repository: TufRepository, device: Device | None = None) -> None:
        self.workshop, self.repository = workshop, repository
        self.identity = workshop.identity if device is None else device.identity
        self.folder = (workshop.folder if device is None else device.disk) / "slots"
        self.metadata = self.folder / "metadata"
        self.clock: float | None = None
        self.trust_days: int | None = None
        Slots.init(self.folder, MODEL_ID)

    def updater(self, place: Channel | str | Path | None = None, **options: Any) -> Updater:
        return Updater(
            self.folder,
            self.repository.folder if place is None else place,
            self.repository.first_root,
            identity=self.identity(),
            **{"offline": False, "verifier": self.verifier(), **options},
        )

    def verifier(self) -> Verifier:
        """Returns whom the device trusts: the publisher's key, or a trust file."""
        if self.trust_days is None:
            return self.workshop.verifier(**self._clock())
        return self.verifier_of(self.trust_file(1))

    def verifier_of(self, trust: bytes) -> Verifier:
        """Returns whom a trust file says to trust, where the device's roots have signed it."""
        file = TrustFile.from_bytes(trust, self.workshop.roots())
        return Verifier.from_trust_file(file, model=MODEL_ID, **self._clock())

    def trust_file(self, number: int, workshop: Workshop | None = None) -> bytes:
        """Returns a trust file that believes the publisher, signed by the root of a workshop."""
        publisher = Publisher(self.workshop.signer.public_key, ("*",))
        trust = TrustFile(number, int(self.repository.now + (self.trust_days or 365) * DAY), (publisher,))
        return trust.to_bytes((workshop or self.workshop).root())

    def _clock(self) -> dict[str, Any]:
        now = self.clock
        return {} if now is None else {"clock": lambda: now}

    def update(self, place: Channel | str | Path | None = None, **options: Any) -> UpdateReport:
        with self.updater(place, **options) as updater:
            return updater.update()

    def check(self, place: Channel | str | Path | None = None, **options: Any) -> UpdateReport:
        """Looks at the repository, as an update does first."""
        with self.updater(place, **options) as updater:
            return updater.check()

    def epoch(self) -> int:
        """Opens what counts."""
        access = Access(self.identity(), self.workshop.verifier())
        with unlock(self.folder, access) as opened:
            return opened.manifest.epoch
