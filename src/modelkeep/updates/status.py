"""What is installed: which releases are there, how far each has come, and what the last trial came to.

What the device remembers is authentic. What files say besides, of releases' names and of ends, is shown as
they say it: `modelkeep verify` checks it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelkeep.bundle.install_record import InstallHeader, InstallRecord, first_record
from modelkeep.bundle.installation import Installation
from modelkeep.bundle.lease import in_force, read_lease
from modelkeep.bundle.slot_folder import SLOTS, SlotFolder
from modelkeep.container import names
from modelkeep.device.contents import Contents, Installed, Stage
from modelkeep.errors import KeepError, MalformedError
from modelkeep.keys.identity import Identity, no_device
from modelkeep.manifest import Manifest
from modelkeep.storage import open_regular, words_for
from modelkeep.updates.client.notes import FollowingNotes
from modelkeep.updates.trial_file import TrialFile
from modelkeep.updates.trial_notes import Notes


@dataclass(frozen=True, slots=True)
class InstalledStatus:
    """What is known of one installation.

    Attributes:
        path: where it is.
        slot: its slot, or None of a file.
        model: the model's id.
        stage: ``current`` for what is opened; ``staged`` and ``trial`` for what waits; ``arriving`` for what
            is not all there; ``gone`` for what does not count any more, or was not made with this key.
        release: the publisher's name for the release, as the file says.
        epoch: the release's epoch.
        sealed_at: when it was sealed, in seconds since 1970-01-01 UTC.
        bundle: the id of its bundle, in hexadecimal.
        signer: who signed it, as the device remembers; None for what is gone.
        since: when it was written, in seconds since 1970-01-01 UTC by the device's clock.
        not_after: until when it may be opened, as grant or lease say; None without an end.
    """

    path: Path
    slot: str | None
    model: str
    stage: str
    release: str
    epoch: int
    sealed_at: int
    bundle: str
    signer: str | None
    since: int
    not_after: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """What is installed at one place.

    Attributes:
        path: the folder of slots, or the installation.
        model: the model's id.
        installations: what is there; the one that is opened first.
        last_trial: what is noted of the release that was tried last, or None.
        tries: how often what is on trial was tried.
        quarantine: the bundles that are not tried again, in hexadecimal.
        following: the last word on the repository that is followed, or None.
    """

    path: Path
    model: str
    installations: tuple[InstalledStatus, ...]
    last_trial: Notes | None
    tries: int
    quarantine: tuple[str, ...]
    following: FollowingNotes | None


def status(path: str | os.PathLike[str], *, identity: Identity) -> Status:
    """Says what is installed at `path`: a folder of slots, or an installation. Opens no model.

    Args:
        path: the folder or file.
        identity: the key of this device.

    Raises:
        RollbackError, TamperedError, MalformedError: the device's state, or the file, is not in order.
        StorageError: something cannot be read.
        UsageError: the key belongs to no device.
    """
    path = Path(path)
    if not SlotFolder.is_at(path):
        contents, _ = _remembered(identity, None)
        one = _of_file(path, None, contents)
        return _status(path, one.model, [one], contents, None)
    folder = SlotFolder.read(path)
    contents, notes = _remembered(identity, path)
    there = [(folder.file(slot), slot) for slot in SLOTS if folder.file(slot).exists()]
    found = [_of_file(file, slot, contents) for file, slot in there]
    return _status(path, folder.model, found, contents, notes)


def _status(
    path: Path, model: str, found: list[InstalledStatus], contents: Contents, notes: Notes | None
) -> Status:
    state = contents.known(model)
    found.sort(key=lambda each: each.stage != Stage.CURRENT.value)
    quarantine = tuple(each.bundle.hex() for each in state.quarantine)
    following = FollowingNotes.read(path) if path.is_dir() else None
    return Status(path, model, tuple(found), notes, state.tries, quarantine, following)


def _remembered(identity: Identity, folder: Path | None) -> tuple[Contents, Notes | None]:
    """Returns what the device remembers, and what it noted of trials in a folder of slots."""
    state = identity.device_state()
    if state is None:
        raise no_device(identity.type)
    with state:
        contents = state.look()
        if folder is None or not state.has_begun:
            return contents, None
        return contents, TrialFile(folder).read(state.local)


def _of_file(path: Path, slot: str | None, contents: Contents) -> InstalledStatus:
    header, since = _beginning(path)
    known = contents.installed(header.model, header.installation)
    manifest, not_after = _of_archive(path)
    return InstalledStatus(
        path=path,
        slot=slot,
        model=header.model,
        stage=_stage(known, manifest),
        release="" if manifest is None else manifest.release,
        epoch=header.epoch,
        sealed_at=0 if manifest is None else manifest.sealed_at,
        bundle="" if manifest is None else manifest.bundle.hex(),
        signer=None if known is None else str(known.mark.signer),
        since=since,
        not_after=not_after,
    )


def _beginning(path: Path) -> tuple[InstallHeader, int]:
    """Returns the header of an installation, complete or not, and when it was written."""
    with words_for(path):
        descriptor = open_regular(path)
        try:
            record, since = first_record(descriptor), int(os.fstat(descriptor).st_mtime)
        finally:
            os.close(descriptor)
    if record is None:
        raise MalformedError(f"{path}: not an installation", hint="modelkeep inspect says what a bundle is")
    return record.header, since


def _of_archive(path: Path) -> tuple[Manifest | None, int | None]:
    """Returns what a complete installation says, and until when it may be opened."""
    try:
        with Installation(path) as installation:
            manifest = Manifest.from_bytes(installation.read(names.MANIFEST))
            record = InstallRecord.from_bytes(installation.read(names.INSTALL))
            end = in_force(record, read_lease(path), manifest).header.constraints.not_after
            return manifest, end
    except KeepError:
        return None, None


def _stage(known: Installed | None, manifest: Manifest | None) -> str:
    if known is None or (manifest is not None and manifest.bundle != known.mark.bundle):
        return "gone"
    return "arriving" if manifest is None else known.stage.value
