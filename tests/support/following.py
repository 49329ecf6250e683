"""A device that follows a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelkeep.bundle.access import Access, unlock
from modelkeep.channels.channel import Channel
from modelkeep.updates.client.report import UpdateReport
from modelkeep.updates.client.updater import Updater
from modelkeep.updates.slots import Slots
from support.tuf_repository import TufRepository
from support.workshop import MODEL_ID, Workshop


class Follower:
    """A device with slots, and the repository that it follows unless it is told another.

    Attributes:
        folder: the folder of slots.
        metadata: where it keeps what it has verified of the repository.
        clock: what its clock shows; None for the present.
    """

    def __init__(self, workshop: Workshop, repository: TufRepository) -> None:
        self.workshop, self.repository = workshop, repository
        self.folder = workshop.folder / "slots"
        self.metadata = self.folder / "metadata"
        self.clock: float | None = None
        Slots.init(self.folder, MODEL_ID)

    def updater(self, place: Channel | str | Path | None = None, **options: Any) -> Updater:
        now = self.clock
        clock = {} if now is None else {"clock": lambda: now}
        return Updater(
            self.folder,
            self.repository.folder if place is None else place,
            self.repository.first_root,
            identity=self.workshop.identity(),
            verifier=self.workshop.verifier(**clock),
            **{"offline": False, **options},
        )

    def update(self, place: Channel | str | Path | None = None, **options: Any) -> UpdateReport:
        with self.updater(place, **options) as updater:
            return updater.update()

    def check(self, place: Channel | str | Path | None = None, **options: Any) -> UpdateReport:
        """Looks at the repository, as an update does first."""
        with self.updater(place, **options) as updater:
            return updater.check()

    def epoch(self) -> int:
        """Opens what counts."""
        access = Access(self.workshop.identity(), self.workshop.verifier())
        with unlock(self.folder, access) as opened:
            return opened.manifest.epoch
