"""Two slots of one model: one counts, the other takes the next release, which is tried before it counts.

What counts, and how far an installation has come, is the device's state; what a trial came to so far is
noted in the folder. Source: spec/update-v1.md, "Slots" and "Trials".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

from modelkeep.bundle.access import Access
from modelkeep.bundle.rollback import Remembered, remembering
from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.bundle.slot_folder import SLOTS, SlotFolder
from modelkeep.container.archive import Archive
from modelkeep.container.order import INSTALLATION
from modelkeep.device.contents import Contents, Installed, Quarantined
from modelkeep.device.marks import Judge, floor_of
from modelkeep.errors import KeepError, RefusedError, RollbackError, UsageError, WrongModelError
from modelkeep.storage import folder_locked, words_for
from modelkeep.updates.place import clear
from modelkeep.updates.slot_state import SlotState, Trial
from modelkeep.updates.trial_file import TrialFile
from modelkeep.updates.trial_notes import TrialEnd, circumstances


class Slots:
    """The slots of one model on one device; RAUC's verbs: which is primary, what is its state, set it.

    Attributes:
        folder: where they are.
        access: with which key, and whom to trust.
    """

    def __init__(self, folder: SlotFolder, access: Access, attempt: int = 0) -> None:
        """Takes slots.

        Args:
            folder: where they are.
            access: with which key, and whom to trust.
            attempt: the publisher's number for this try at the release, as its document says; a bundle by
                itself is its first.
        """
        self.folder = folder
        self._attempt = attempt
        self.access = access
        self._notes = TrialFile(folder.path)

    @staticmethod
    def init(path: str | os.PathLike[str], model: str) -> SlotFolder:
        """Makes a folder with two empty slots for `model`.

        Raises:
            StorageError: it cannot be made.
            UsageError: it is one already.
        """
        folder = SlotFolder(Path(path), model)
        folder.create()
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str], access: Access) -> Self:
        """Returns the slots at `path`.

        Raises:
            StorageError, MalformedError: there are none.
        """
        return cls(SlotFolder.read(path), access)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keeps others out who install into these slots, try or commit, during a `with` block.

        Raises:
            UnavailableError: somebody else is at it for longer than 30 seconds.
        """
        with folder_locked(self.folder.file(SLOTS[0])):
            yield

    def primary(self) -> str | None:
        """Returns the slot that is opened, or None where none counts."""
        with self._remembered() as remembered:
            return self.folder.current(remembered.contents)

    def state(self, slot: str) -> SlotState:
        """Returns what is known of a slot."""
        with self._remembered() as remembered:
            return self.state_by(slot, remembered.contents)

    def state_by(self, slot: str, contents: Contents) -> SlotState:
        """Returns what is known of a slot, with what the device remembers at hand."""
        installation = self.folder.installation(slot)
        known = None if installation is None else contents.installed(self.folder.model, installation)
        return SlotState(slot, installation, known, _is_archive(self.folder.file(slot)))

    def counts(self, signed: SignedManifest) -> Path | None:
        """Returns the installation of a verified release, where it counts here already."""
        with self._remembered() as remembered:
            slot = self.folder.current(remembered.contents)
            there = None if slot is None else self.state_by(slot, remembered.contents)
        if there is None or there.known is None or there.known.mark.bundle != signed.manifest.bundle:
            return None
        return self.folder.file(there.slot)

    def choose(self, signed: SignedManifest) -> str:
        """Returns the slot that a verified release goes to: one that does not count; within `exclusively`.

        Raises:
            WrongModelError: the slots are for another model.
            RollbackError: something newer counts by now, or waits for its trial.
            RefusedError: it is in quarantine here.
        """
        with self._remembered() as remembered:
            self._check(signed, remembered)
            self._notes.check_disk(signed.manifest.bundle, remembered.state.local)
            slot = self._next(remembered.contents)
            there = self.state_by(slot, remembered.contents)
        if there.waits:
            self._check_waiting(signed, there, remembered.verifier)
        else:
            # What counted once may still be read by who opened it then, and be another name of what counts.
            clear(self.folder.file(slot))
        return slot

    def _check_waiting(self, signed: SignedManifest, there: SlotState, judge: Judge) -> None:
        # What has not arrived promises nothing, and what nobody trusts any more keeps nobody away.
        if not there.is_complete or there.known is None:
            return
        order, manifest = there.known.mark.order, signed.manifest
        waiting = floor_of([there.known.mark], manifest.model, judge)
        if waiting.bundle not in (None, manifest.bundle) and manifest.order <= waiting.order:
            raise RollbackError(
                f"release {manifest.order} is no newer than {order}, which waits here for its trial",
                hint=f"modelkeep trial {self.folder.path}, or modelkeep slots withdraw {self.folder.path}",
            )

    def _next(self, contents: Contents) -> str:
        primary = self.folder.current(contents)
        others = [slot for slot in SLOTS if slot != primary]
        with words_for(self.folder.path):
            return min(others, key=lambda slot: self._reluctance(slot, contents))

    def _reluctance(self, slot: str, contents: Contents) -> tuple[int, float]:
        # What is not known here may count for another key, or for another state of this one; the older
        # of two more likely does.
        if self.state_by(slot, contents).waits:
            return 0, 0.0
        try:
            return 2, -self.folder.file(slot).lstat().st_mtime
        except FileNotFoundError:
            return 1, 0.0

    def _check(self, signed: SignedManifest, remembered: Remembered) -> None:
        manifest = signed.manifest
        if manifest.model != self.folder.model:
            raise WrongModelError(f"the slots are for {self.folder.model}, and this is {manifest.model}")
        # Once more: the front came without the lock, and something newer may have begun to count.
        remembered.check(manifest)
        mark = remembered.mark(manifest, signed.signer)
        if remembered.contents.known(manifest.model).is_in_quarantine(mark, self._attempt):
            raise RefusedError(
                f"release {manifest.order} was tried here and failed",
                hint="get another release; modelkeep status says how it failed",
            )

    def known(self, installation: bytes) -> Installed:
        """Returns what is known of an installation that was begun.

        Raises:
            RollbackError: it was given up since, for another release of the model.
        """
        with self._remembered() as remembered:
            known = remembered.contents.installed(self.folder.model, installation)
        if known is None:
            raise RollbackError(
                "another release of the model was installed meanwhile", hint="modelkeep status says which"
            )
        return known

    def staged(self) -> SlotState | None:
        """Returns the slot with a release that waits for its trial, complete; or None."""
        with self._remembered() as remembered:
            states = [self.state_by(slot, remembered.contents) for slot in SLOTS]
        waiting = [each for each in states if each.waits and each.is_complete]
        return waiting[0] if waiting else None

    def begin_trial(self, slot: str, runtime: str | None = None) -> Trial:
        """Counts a try of what is staged in `slot`; to be called before each load, within `exclusively`.

        A try before this one that has no end was cut off: by a crash, or by the power.

        Args:
            slot: `a` or `b`.
            runtime: by which runtime, where that is said; another one is a change.

        Raises:
            UsageError: nothing is staged there.
            RefusedError: the tries before have crashed too often; the release is in quarantine now.
            UnavailableError: the power failed too often, or it was postponed too often; it waits.
            StorageError: the try cannot be counted, so there must be none.
        """
        state = self.state(slot)
        if state.installation is None or state.known is None or not state.waits:
            raise UsageError(f"nothing waits for a trial in slot {slot}", hint="modelkeep install first")
        bundle = state.known.mark.bundle
        with self._remembered() as remembered:
            now = self._circumstances(remembered, state.installation, runtime or "")
            try:
                self._notes.begin(bundle, now, remembered.state.local)
            except RefusedError as error:
                self._give_up(state.installation, bundle)
                # From here on quarantine says so: where that is forgotten, it is counted anew.
                self._notes.end(bundle, TrialEnd.REFUSED, str(error), remembered.state.local)
                raise
            number = remembered.state.try_out(self.folder.model, state.installation)
        return Trial(slot, state.installation, state.known, number)

    def _circumstances(self, remembered: Remembered, installation: bytes, runtime: str) -> bytes:
        # The state is of another generation after each trust file, ticket and commit.
        generation, attempt = remembered.contents.generation.hex(), str(self._attempt)
        posture = sorted(self.access.posture)
        return circumstances(generation, installation.hex(), attempt, runtime, *posture)

    def try_again(self) -> None:
        """Begins to count anew what was interrupted, postponed or damaged: a person looked after it.

        Raises:
            StorageError: this cannot be noted.
        """
        with self._remembered() as remembered:
            self._notes.forgive(remembered.state.local)

    def end_trial(self, trial: Trial, end: TrialEnd, reason: str = "", *, counts: bool = True) -> None:
        """Notes what a try came to; a release that is not to be tried again goes.

        Args:
            trial: the try.
            end: what it came to.
            reason: why, for people.
            counts: whether it counts among those that were postponed.
        """
        trial.end = end
        bundle = trial.known.mark.bundle
        with self._remembered() as remembered:
            self._notes.end(bundle, end, reason, remembered.state.local, counts=counts)
        if end is TrialEnd.REFUSED:
            self._give_up(trial.installation, bundle)
        elif end in (TrialEnd.DAMAGED, TrialEnd.WITHDRAWN):
            self._give_up(trial.installation, None)

    def commit(self, trial: Trial) -> None:
        """Lets what was tried count, in one change; what counted before can never be opened again.

        Raises:
            UsageError: the trial was not passed.
            RollbackError: something newer was installed meanwhile, or a newer trust file seen.
            StorageError: this cannot be remembered; what counted before goes on counting.
        """
        if trial.end is not TrialEnd.PASSED:
            raise UsageError("only a release that passed its trial can count")
        others = [slot for slot in SLOTS if slot != trial.slot]
        with self._remembered() as remembered:
            # What this state does not know may count for another one; the next release takes its place.
            others = [slot for slot in others if self.state_by(slot, remembered.contents).known is not None]
            remembered.commit(self.folder.model, trial.installation)
        for slot in others:
            clear(self.folder.file(slot))

    def withdraw(self, bundle: bytes | None = None) -> bool:
        """Lets go of what is staged or on trial, which may come again; returns whether there was any.

        Where it counts already, it counts until something newer does.

        Args:
            bundle: the only one that is meant, where something else may have taken its place meanwhile.
        """
        with self._remembered() as remembered:
            states = [self.state_by(slot, remembered.contents) for slot in SLOTS]
        waiting = [each for each in states if each.waits and each.is_of(bundle)]
        for each in waiting:
            assert each.installation is not None
            self._give_up(each.installation, None)
        return bool(waiting)

    def _give_up(self, installation: bytes, failed: bytes | None) -> None:
        quarantined = None if failed is None else Quarantined(failed, self._attempt)
        with self._remembered() as remembered:
            remembered.state.give_up(self.folder.model, installation, quarantined)
        for slot in SLOTS:
            if self.folder.installation(slot) == installation:
                clear(self.folder.file(slot))

    def _remembered(self) -> AbstractContextManager[Remembered]:
        return remembering(self.access.identity, self.access.verifier)


def _is_archive(path: Path) -> bool:
    try:
        Archive(path, INSTALLATION).close()
    except KeepError:
        return False
    return True
