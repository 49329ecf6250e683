"""Extraction: write the plaintext of a sealed model to disk, for those who insist."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelkeep.bundle.access import Access, IdentityLike, unlock
from modelkeep.bundle.unlocked import Unlocked
from modelkeep.errors import UsageError
from modelkeep.partial import Partial
from modelkeep.payload.layout import SEGMENT
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.release_order import ReleaseOrder
from modelkeep.storage import path_of, refuse_overwrite, sync_folder, words_for, write_at
from modelkeep.trust.bundle_verifier import BundleVerifier


@dataclass(frozen=True, slots=True)
class ExtractReport:
    """What was written in the clear.

    Attributes:
        paths: the files.
        model: the model's id.
        release: which release of it.
        bundle: the bundle's id, hexadecimal.
        signer: who signed it, or None when an unsigned bundle was let in.
    """

    paths: tuple[Path, ...]
    model: str
    release: ReleaseOrder
    bundle: str
    signer: str | None

    def __str__(self) -> str:
        return f"{self.model} {self.release.epoch}"


def extract(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    unsafe_plaintext: bool,
    grant_file: str | os.PathLike[str] | None = None,
    posture: Iterable[str] = (),
    progress: Progress = no_progress,
) -> ExtractReport:
    """Decrypts every file of a bundle into a new folder, which appears complete or not at all.

    Args:
        path: the bundle.
        folder: does not exist yet.
        identity: the key of this device, or its URI.
        verifier: whom to trust.
        unsafe_plaintext: must be True; the files are as readable as any other afterwards.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        posture: names of what this device was found to be.
        progress: told the bytes that are decrypted; called from several threads.

    Raises:
        UsageError: without `unsafe_plaintext`, or the folder exists.
        KeepError: as for opening a session.
    """
    if not unsafe_plaintext:
        raise UsageError(
            "extracting leaves the model readable for everybody",
            hint="pass --unsafe-plaintext to do it anyway",
        )
    target = path_of(folder)
    refuse_overwrite(target, force=False)
    with Access(identity, verifier, grant_file, posture) as access, unlock(path, access) as bundle:
        paths = _write_files(bundle, target, progress)
        manifest, signer = bundle.manifest, bundle.provenance.signer
    return ExtractReport(
        tuple(target / name for name in paths),
        manifest.model,
        manifest.order,
        manifest.bundle.hex(),
        None if signer is None else str(signer),
    )


def _write_files(bundle: Unlocked, target: Path, progress: Progress) -> list[str]:
    files = list(bundle.inner_manifest().model_files())
    with words_for(target):
        new = Partial(target)
        try:
            for index, path in files:
                _write_file(bundle, index, new.descriptor, path, progress)
            _sync_folders(new.descriptor)
            refuse_overwrite(target, force=False)
            new.take_name(target, Path.rename)
            sync_folder(target.parent)
        finally:
            new.discard()
    return [path for _, path in files]


def _write_file(bundle: Unlocked, index: int, folder: int, path: str, progress: Progress) -> None:
    size = bundle.manifest.members[index].size
    descriptor = _create(folder, path)
    try:
        if size == 0:
            return bundle.decrypt(index, memoryview(bytearray()), progress)
        _reserve(descriptor, size)
        # The mapping ends with the last view of it.
        bundle.decrypt(index, memoryview(mmap.mmap(descriptor, size)), progress)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    """Has room kept for a file: a disk that fills up under a mapping would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    # macOS: what is written has its room.
    for start in range(0, size, SEGMENT):
        write_at(descriptor, memoryview(bytes(min(SEGMENT, size - start))), start)


def _sync_folders(folder: int) -> None:
    # A file that is synced goes with the power all the same, if its name was not.
    for *_, descriptor in os.fwalk(dir_fd=folder):
        os.fsync(descriptor)


def _create(folder: int, path: str) -> int:
    """Makes a new file below an open folder, by descriptors alone: names may be exchanged meanwhile."""
    *parents, name = path.split("/")
    here = os.dup(folder)
    try:
        for parent in parents:
            with contextlib.suppress(FileExistsError):
                os.mkdir(parent, 0o700, dir_fd=here)
            below = os.open(parent, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=here)
    finally:
        os.close(here)
