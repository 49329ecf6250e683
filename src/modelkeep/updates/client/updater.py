"""A device that follows a repository: what is its own is fetched, tried, and counts; or what counted goes on.

Two layers judge independently. The repository's keys say what is current and complete; the publisher's
signature and the device's trust file say who made it. Source: spec/update-v1.md, "Following a repository".
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from modelkeep.bundle.access import Access, IdentityLike
from modelkeep.bundle.rollback import remembering
from modelkeep.bundle.slot_folder import SLOTS
from modelkeep.channels.channel import Channel
from modelkeep.device.contents import Contents
from modelkeep.errors import KeepError, RefusedError, UnavailableError, UsageError
from modelkeep.isolated_loading import Isolation
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.storage import folder_locked, make_folder, read_small, words_for
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.client.channel_source import ChannelSource, fetched_grants
from modelkeep.updates.client.decision import Decision, decide
from modelkeep.updates.client.expect_listed import ExpectListed
from modelkeep.updates.client.following import Following, channel_of, is_folder
from modelkeep.updates.client.listing import Listing, look
from modelkeep.updates.client.notes import FollowingNotes, Outcome
from modelkeep.updates.client.report import UpdateReport
from modelkeep.updates.client.requirements import check_requirements
from modelkeep.updates.client.selection import Selection, StaticPhase
from modelkeep.updates.client.trust_place import TrustPlace
from modelkeep.updates.installation import InstallReport, install_into
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial import TrialResult, try_out
from modelkeep.updates.trial_notes import TrialEnd

METADATA_FOLDER = "metadata"
_LARGEST_ROOT = 512_000


class Updater:
    """A device that follows a repository with one model; a context manager.

    Attributes:
        model: the model's id.
        following: the repository.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        repository: Channel | str | os.PathLike[str],
        root: bytes | str | os.PathLike[str],
        *,
        identity: IdentityLike,
        verifier: Verifier,
        trust: TrustPlace | None = None,
        posture: Iterable[str] = (),
        selection: Selection | None = None,
        offline: bool | None = None,
        isolation: Isolation = "in-process",
        runtime: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes what is followed by whom; nothing is asked for yet.

        Args:
            folder: a folder of slots.
            repository: a channel, an address, or a folder.
            root: the repository's root as the device was given it, of any version; bytes or a file.
            identity: the key of this device, or its URI.
            verifier: whom to trust, and which release to accept.
            trust: where `verifier` has its trust file from, to be replaced by newer ones that the repository
                carries; None keeps the one that there is.
            posture: names of what this device was found to be, for grants that demand some.
            selection: which of the releases that are offered is this device's; the repository's phases
                where nobody says so.
            offline: whether the repository is a copy, of which timestamp and snapshot may have ended; None:
                folders are.
            isolation: which process trials run in; see `open_session`.
            runtime: name of the adapter, where a format has several.
            options: passed on to the runtime's adapter.

        Raises:
            UsageError: an argument is of another kind.
            StorageError, MalformedError: there are no slots, or a file cannot be read.
            KeyStoreError: the key cannot be found, unlocked or used.
        """
        if not isinstance(verifier, Verifier):
            raise UsageError("only what a trusted publisher signed is installed", hint="pass a Verifier")
        channel = channel_of(repository)
        first_root = root if isinstance(root, bytes) else read_small(root, _LARGEST_ROOT, "a root")
        self._access = Access(identity, verifier, posture=posture)
        self._slots = Slots.open(folder, self._access)
        self._trust = trust
        self._selection = selection or StaticPhase()
        self._try_out = partial(try_out, isolation=isolation, runtime=runtime, options=options)
        self.model = self._slots.folder.model
        metadata = self.folder / METADATA_FOLDER
        is_copy = is_folder(channel) if offline is None else offline
        self.following = Following(channel, first_root, metadata, is_copy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The folder of slots."""
        return self._slots.folder.path

    @property
    def device(self) -> bytes:
        """SHA-256 of the device's public key.

        Raises:
            UsageError: the key belongs to no device.
        """
        with remembering(self._access.identity, self._access.verifier) as remembered:
            return remembered.state.device

    def close(self) -> None:
        """Closes the identity, if it was made here."""
        self._access.close()

    def check(self) -> UpdateReport:
        """Asks the repository, and says what an update would do; no bundle is fetched.

        Raises:
            KeepError: see `update`.
        """
        with self._alone():
            return UpdateReport.of(self.model, *self._decide())

    def update(self, *, trial: bool = True, progress: Progress = no_progress) -> UpdateReport:
        """Fetches, tries, and lets count what the repository offers this device; else leaves all as it is.

        Args:
            trial: whether to try what was fetched; else it waits for `try_out`, or for the next update.
            progress: told the bytes of the model that are there; called from several threads.

        Raises:
            ExpiredError: what the repository says has ended: it is not kept up, or somebody keeps news back.
            RollbackError: this device has seen newer metadata, or another release at the same place.
            RefusedError: something is not what the repository's or the publisher's keys say.
            UnavailableError: the repository, the disk or the key cannot be reached or used.
            KeepError: as for `install` and `try_out`.
        """
        with self._alone():
            try:
                report = self._update(trial, progress)
            except KeepError as error:
                self._note_failure(error)
                raise
            self._note(report)
            return report

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = self.following.folder
        with words_for(folder):
            make_folder(folder)
        with folder_locked(folder / "any"):
            yield

    def _update(self, trial: bool, progress: Progress) -> UpdateReport:
        listing, decision = self._decide()
        report = UpdateReport.of(self.model, listing, decision)
        self._let_go(listing, decision.take)
        if decision.take is None:
            return report
        slots = self._narrowed(listing, decision.take)
        installed = self._install(slots, decision.take, progress)
        return report.tried(installed, self._tried(slots) if trial else None)

    def _decide(self) -> tuple[Listing, Decision]:
        access = self._access
        if self._trust is not None:
            # A service may have read it a year ago; what the device has seen since is not gone back behind.
            access.verifier = self._trust.present(self._verifier)
        with remembering(access.identity, access.verifier) as remembered:
            listing = look(self.following, self.model, remembered, self._waiting(self._slots))
        self._take_trust(listing)
        with remembering(access.identity, access.verifier) as remembered:
            chosen = self._selection.choose(listing.offered, remembered.state.device)
            if chosen is not None and chosen not in listing.offered:
                raise RefusedError(
                    "the release that was chosen for this device is not offered by the repository"
                )
            current = self._current(self._slots, remembered.contents)
            return listing, decide(listing, chosen, remembered, current)

    def _take_trust(self, listing: Listing) -> None:
        if self._trust is None or listing.trust is None:
            return
        newer = self._trust.newer(listing.trust, self._verifier)
        if newer is not None:
            self._access.verifier = newer

    @property
    def _verifier(self) -> Verifier:
        assert isinstance(self._access.verifier, Verifier)
        return self._access.verifier

    @staticmethod
    def _current(slots: Slots, contents: Contents) -> bytes | None:
        """Returns the bundle that counts, where all of it is there."""
        slot = slots.folder.current(contents)
        found = None if slot is None else slots.state_by(slot, contents)
        if found is None or found.known is None or not found.is_complete:
            return None
        return found.known.mark.bundle

    def _let_go(self, listing: Listing, take: ReleaseDocument | None) -> None:
        """Lets go of what waits and is held back by now, or is not what this device is offered."""
        waiting = self._waiting(self._slots)
        if waiting is None:
            return
        if waiting == listing.held_back if take is None else waiting != take.bundle:
            with self._slots.exclusively():
                self._slots.withdraw(waiting)

    @staticmethod
    def _waiting(slots: Slots) -> bytes | None:
        """Returns the bundle that waits for its trial, or None."""
        waiting = slots.staged()
        return None if waiting is None or waiting.known is None else waiting.known.mark.bundle

    def _narrowed(self, listing: Listing, document: ReleaseDocument) -> Slots:
        """Returns the slots for whom accepts this release alone."""
        said = self._verifier.clock.believed(listing.signed_at)
        narrow = self._verifier.narrowed(ExpectListed(document), said)
        access = Access(self._access.identity, narrow, posture=self._access.posture)
        return Slots(self._slots.folder, access, document.attempt)

    def _install(self, slots: Slots, document: ReleaseDocument, progress: Progress) -> InstallReport | None:
        if self._waiting(slots) == document.bundle:
            return None
        check_requirements(document.requires, self.folder, self._reusable(slots))
        source = ChannelSource(self.following.channel, document, self.following.folder / "bundle")
        with fetched_grants(self.following.channel, document, source.path):
            return install_into(slots, source, progress=progress)

    @staticmethod
    def _reusable(slots: Slots) -> int:
        """Returns how many bytes of the disk a new installation takes the place of."""
        primary = slots.primary()
        files = [slots.folder.file(slot) for slot in SLOTS if slot != primary]
        return min((file.stat().st_size for file in files if file.exists()), default=0)

    def _tried(self, slots: Slots) -> TrialResult | None:
        result = self._try_out(slots)
        while result is not None and result.verdict.end is TrialEnd.CRASHED:
            result = self._try_out(slots)
        return result

    def _note(self, report: UpdateReport) -> None:
        now = int(time.time())
        notes = FollowingNotes(report.outcome, report.reason, now, report.ends, report.bundle)
        notes.write(self.folder)

    def _note_failure(self, error: KeepError) -> None:
        outcome = Outcome.UNAVAILABLE if isinstance(error, UnavailableError) else Outcome.REFUSED
        before = FollowingNotes.read(self.folder) or FollowingNotes(outcome, "", 0)
        now = int(time.time())
        replace(before, outcome=outcome, reason=str(error), at=now).write(self.folder)
