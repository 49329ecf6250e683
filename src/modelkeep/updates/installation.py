"""Installing: verify a bundle while it arrives, and keep it under a key that only this device has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from modelkeep.bundle.access import Access, IdentityLike, unlock
from modelkeep.bundle.installation import UnlockedInstallation
from modelkeep.bundle.lease import lease_path
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.device.contents import Stage
from modelkeep.errors import MalformedError, RefusedError, RollbackError, StorageError
from modelkeep.kept_file import InUseError, KeptFile
from modelkeep.partial import Partial
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.release_order import ReleaseOrder
from modelkeep.storage import Replacement, refuse_overwrite, words_for
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.updates.place import OwnPlace, SlotPlace
from modelkeep.updates.reception import Reception, receiving
from modelkeep.updates.slots import Slots
from modelkeep.updates.source import Source, SourceLike, source_of


@dataclass(frozen=True, slots=True)
class InstallReport:
    """What an installation replaces with what.

    Attributes:
        path: the installation.
        model: the model's id.
        before: the release that counted before on this device, or None for the first one.
        now: the release that was installed.
        bundle: the id of the bundle that it was made of, in hexadecimal.
        signer: who signed that.
        slot: the slot where it waits for its trial; None where it counts already.
        size: how many bytes the model has.
        fetched: how many bytes came from the source.
        kept: how many bytes of the model were there from an earlier try.
        damage: why this release, which counts in the other slot, was fetched again: what is there does not
            open any more.
    """

    path: Path
    model: str
    before: ReleaseOrder | None
    now: ReleaseOrder
    bundle: str
    signer: str
    slot: str | None
    size: int
    fetched: int
    kept: int
    damage: str | None = None

    def __str__(self) -> str:
        before = "nothing" if self.before is None else self.before.epoch
        return f"{self.model} {before} -> {self.now.epoch}"


def install(
    source: SourceLike,
    destination: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    grant_file: str | os.PathLike[str] | None = None,
    posture: Iterable[str] = (),
    force: bool = False,
    progress: Progress = no_progress,
) -> InstallReport:
    """Checks every byte of a bundle as it arrives and writes an installation of it, in one pass.

    Signature, policy, order and grant are judged before any payload is asked for, and the bundle itself is
    never written to the disk. Cut off at any moment, the same call goes on where it was.

    Opening an installation needs no digests, so it runs at the speed of the cipher, and no holder of
    the bundle's data key can forge it. Into a file, the release counts at once: releases older than it do
    not count on this device afterwards, neither as bundles nor as installations. Into a folder of slots it
    waits for its trial, and what counts stays as it is.

    Args:
        source: a path, an address, ``-`` for standard input, a binary stream, or a `Source`.
        destination: the installation to write, for example ``installed.keep``, or a folder of slots.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        grant_file: look for the grant there instead of in the bundle and the file beside it.
        posture: names of what this device was found to be, for grants that demand some.
        force: replace an existing file; fetch what counts in a folder of slots once more, though all of
            it decrypts.
        progress: told the bytes that are done; called from several threads.

    Raises:
        RollbackError: a newer release of this model was installed before, or meanwhile.
        UsageError: the file exists and `force` is not set, or the publisher is not verified.
        UnavailableError: the source or the disk failed; what has arrived is kept for the next call.
        KeepError: as for opening a session.
    """
    destination = Path(destination)
    with Access(identity, verifier, grant_file, posture) as access:
        if SlotFolder.is_at(destination):
            slots = Slots.open(destination, access)
            return install_into(slots, source_of(source), force=force, progress=progress)
        refuse_overwrite(destination, force=force)
        with receiving(source_of(source), access) as reception:
            _into_file(reception, destination, force, progress)
            return _report(reception, destination, None)


def _into_file(reception: Reception, target: Path, force: bool, progress: Progress) -> None:
    work = _work_file(target, reception.signed.front.manifest_digest)
    with Replacement(target, force=force, new=work) as file, words_for(target):
        try:
            _put_in_place(reception, file, progress)
        except RollbackError:
            # Empty it keeps nothing, and goes.
            os.ftruncate(file.descriptor, 0)
            raise


def _put_in_place(reception: Reception, file: Replacement, progress: Progress) -> None:
    with reception.begin(OwnPlace(file.descriptor)) as target:
        reception.take(target, progress)
        installation = target.installation
    # The state changes last: a crash before that leaves the old installation in force.
    model, signed_at = reception.signed.manifest.model, reception.signed.signed_at
    with reception.remembered.committing(model, installation, signed_at):
        file.commit()
    # One that was for what was there before; beside another installation it means nothing.
    lease_path(file.target).unlink(missing_ok=True)


def _work_file(target: Path, digest: bytes) -> KeptFile | Partial:
    with words_for(target):
        try:
            return KeptFile(target, digest.hex()[:8])
        except InUseError:
            # Two at once: one of them has to begin at the beginning.
            return Partial(target, mode=0o600)


def install_into(
    slots: Slots, source: Source, *, force: bool = False, progress: Progress = no_progress
) -> InstallReport:
    """Does what `install` does with a folder of slots that is open."""
    with receiving(source, slots.access) as reception:
        there = slots.counts(reception.signed)
        damage = None if force or there is None else _damage(there, slots.access)
        if not force and there is not None and damage is None:
            return _report(reception, there, None)
        return replace(_take(reception, slots, progress, there), damage=damage)


def _take(reception: Reception, slots: Slots, progress: Progress, counted: Path | None) -> InstallReport:
    with ExitStack() as stack:
        with slots.exclusively():
            counts = slots.counts(reception.signed)
            if counts is not None and counts != counted:
                # Somebody else was quicker.
                return _report(reception, counts, None)
            slot = slots.choose(reception.signed)
            stack.enter_context(words_for(slots.folder.file(slot)))
            place = stack.enter_context(SlotPlace(slots.folder.file(slot)))
            target = stack.enter_context(reception.begin(place))
        # Not locked while bytes are waited for: what a source withholds holds up nobody.
        reception.take(target, progress)
        # Somebody else may have brought it to its end, and tried it.
        counts_by_now = slots.known(target.installation).stage is Stage.CURRENT
        return _report(reception, slots.folder.file(slot), None if counts_by_now else slot)


def _damage(path: Path, access: Access) -> str | None:
    """Returns why what counts cannot be opened as it lies there; None if every byte of it decrypts."""
    try:
        with unlock(path, Access(access.identity, access.verifier, posture=access.posture)) as installed:
            assert isinstance(installed, UnlockedInstallation)
            installed.check()
    except (RefusedError, MalformedError, StorageError) as error:
        return str(error)
    return None


def _report(reception: Reception, path: Path, slot: str | None) -> InstallReport:
    manifest = reception.signed.manifest
    before = reception.remembered.floor(manifest.model)
    return InstallReport(
        path,
        manifest.model,
        None if before.bundle is None else before.order,
        manifest.order,
        manifest.bundle.hex(),
        str(reception.signed.signer),
        slot,
        sum(member.size for member in manifest.members),
        reception.fetched,
        reception.kept,
    )
