"""A device with slots, whose disk is one folder, and releases to bring it to."""

from __future__ import annotations

import os
from pathlib import Path

from modelkeep.bundle.access import Access, unlock
from modelkeep.updates.installation import InstallReport, install
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial_notes import TrialEnd
from support.states import remembered
from support.workshop import MODEL_ID, Workshop

# Two segments, the second of them a short one.
SIZE = 1_200_000


class Updating:
    """A device with slots.

    Args:
        workshop: seals for it.
        disk: everything that the device has, its states excepted.
    """

    def __init__(self, workshop: Workshop, disk: Path) -> None:
        self.workshop = workshop
        self.folder = disk / "slots"
        self.installed = disk / "installed.keep"
        Slots.init(self.folder, MODEL_ID)

    def seal(self, epoch: int) -> Path:
        """Seals weights that all have the value of their epoch."""
        source = self.workshop.folder / f"weights-{epoch}.bin"
        source.write_bytes(bytes([epoch]) * SIZE)
        return self.workshop.seal(source, epoch=epoch)

    def slots(self) -> Slots:
        return Slots.open(self.folder, Access(self.workshop.identity(), self.workshop.verifier()))

    def install(self, bundle: Path, target: Path | None = None, *, force: bool = True) -> InstallReport:
        identity, verifier = self.workshop.identity(), self.workshop.verifier()
        return install(bundle, target or self.folder, identity=identity, verifier=verifier, force=force)

    def update(self, bundle: Path, done: int | None = None) -> None:
        """Installs into a slot, tries and commits; says on descriptor `done` what was reported."""
        self.install(bundle, force=False)
        _say(done, b"s")
        slots = self.slots()
        with slots.exclusively():
            waiting = slots.staged()
            if waiting is not None:
                trial = slots.begin_trial(waiting.slot)
                with unlock(slots.folder.file(trial.slot), self.trying()) as opened:
                    content_of(opened)
                slots.end_trial(trial, TrialEnd.PASSED)
                slots.commit(trial)
        _say(done, b"c")

    def trying(self) -> Access:
        from modelkeep.device.contents import Stage

        return Access(self.workshop.identity(), self.workshop.verifier(), stage=Stage.TRIAL)

    def epoch(self, path: Path | None = None) -> int:
        """Opens what counts; returns its epoch, which its content must have too."""
        with unlock(
            path or self.folder, Access(self.workshop.identity(), self.workshop.verifier())
        ) as opened:
            assert content_of(opened) == bytes([opened.manifest.epoch]) * SIZE
            return opened.manifest.epoch

    def floor(self) -> int:
        return remembered(self.workshop.identity()).floor(MODEL_ID, self.workshop.verifier()).order.epoch


def content_of(opened: object) -> bytes:
    content = bytearray(SIZE)
    opened.decrypt(1, memoryview(content))  # type: ignore[attr-defined]
    return bytes(content)


def _say(done: int | None, word: bytes) -> None:
    if done is not None:
        os.write(done, word)
