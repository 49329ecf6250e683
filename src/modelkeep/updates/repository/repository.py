"""A repository of releases: a folder of static files, and who changes it.

    metadata/    documents of TUF
    targets/     what they list, and the bundles
    ceremony/    what waits for the signatures of people; nobody needs to see it

Source: spec/update-v1.md, "The repository".
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.channels.channel import AbsentError, Channel, read_whole
from modelkeep.channels.directory import DirectoryChannel
from modelkeep.errors import TamperedError, UnavailableError, UsageError
from modelkeep.storage import folder_locked, path_of
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.release_document import ReleaseDocument
from modelkeep.updates.repository.catalogue import Catalogue
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import (
    LARGEST_METADATA,
    METADATA,
    ROOT_ROLE,
    TARGETS,
    TIMESTAMP_NAME,
    TIMESTAMP_ROLE,
    file_name,
)
from modelkeep.updates.repository.published import Published
from modelkeep.updates.repository.publisher_notes import PublisherNotes, Seen
from modelkeep.updates.repository.role_signers import RoleSigners

# Machines that publish need not agree to the second.
_CLOCK_TOLERANCE = 300


class Repository:
    """The folder of a repository.

    Attributes:
        folder: where it is.
        channel: the same, as a place for files.
    """

    def __init__(self, folder: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        """Takes a folder, which is looked at later."""
        self.folder: Path = path_of(folder)
        self.channel = DirectoryChannel(self.folder)
        self._notes = PublisherNotes(self.folder)
        self._clock = clock

    @property
    def now(self) -> int:
        """Present time in seconds since 1970-01-01 UTC."""
        return int(self._clock())

    def published(self) -> Published:
        """Reads and verifies all of it.

        Raises:
            UsageError: no repository is there.
            TamperedError: it is not what was signed.
            StorageError: it cannot be read.
        """
        try:
            return Published.read(self.channel)
        except AbsentError:
            raise self._absent() from None

    def check_known(self, published: Published) -> None:
        """Refuses another repository than was seen in this folder before, and an older copy of it.

        Raises:
            TamperedError, RollbackError: it is one.
            StorageError: what was seen cannot be read.
        """
        self._notes.check(self._seen(published.timestamp.signed.version))

    def write(self, edition: Edition, signers: RoleSigners, *, root: bool = False) -> None:
        """Signs and writes an edition, and remembers it; see `Edition.write`."""
        edition.write(self.channel, signers, root=root)
        self._notes.write(self._seen(edition.versions[TIMESTAMP_ROLE] + 1))

    def catalogue(self) -> Catalogue:
        """Returns what is published; raises what `published` does."""
        return Catalogue(self.published())

    def verifier(self, catalogue: Catalogue) -> Verifier:
        """Returns who accepts what devices with the published trust file accept.

        Raises:
            RefusedError: the trust file does not hold.
        """
        return Verifier.from_trust_file(catalogue.trust(), model=UnsafeAnyModel(), clock=self._clock)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other publishers out for the length of a `with` block.

        Raises:
            UnavailableError: somebody else is at it for too long.
        """
        if not (self.folder / METADATA).is_dir():
            raise self._absent()
        with folder_locked(self.folder / TIMESTAMP_NAME):
            yield

    @contextmanager
    def changing(self) -> Iterator[Edition]:
        """Gives the next edition of what is published, to be changed and written while nobody else does that.

        Raises:
            UsageError: no repository is there, or the clock is behind.
            TamperedError: it is not what was signed.
            UnavailableError: it cannot be read, or somebody else is at it for too long.
        """
        with self.locked():
            published = self.published()
            self.check_known(published)
            self._check_clock(published)
            for document in Catalogue(published).all_releases():
                check_archive(self.channel, document)
            yield Edition.after(published, self.now)

    def _check_clock(self, published: Published) -> None:
        # Else devices that know the time would take what is signed now for ended.
        if self.now + _CLOCK_TOLERANCE < published.signed_at:
            raise UsageError(
                "the clock of this machine is behind that of whoever published last",
                hint="set the clock, then publish again",
            )

    def _seen(self, timestamp: int) -> Seen:
        first = read_whole(self.channel, file_name(ROOT_ROLE, 1), LARGEST_METADATA)
        return Seen.of(first, timestamp)

    def _absent(self) -> UsageError:
        return UsageError(
            f"{self.folder}: no repository is there", hint="make one: modelkeep repo init FOLDER"
        )


def check_archive(channel: Channel, document: ReleaseDocument) -> None:
    """Refuses a release whose bundle is not there, or of another length; its bytes are not read.

    Raises:
        TamperedError: see there.
    """
    name = f"{TARGETS}/{document.archive}"
    try:
        stream = channel.open(name, document.size - 1, largest=document.size)
    except UnavailableError:
        raise _changed(name) from None
    try:
        if len(stream.read(2) or b"") != 1:
            raise _changed(name)
    finally:
        stream.close()


def _changed(name: str) -> TamperedError:
    return TamperedError(
        f"{name} is missing, or not the bundle that was published", hint="put it back, then publish again"
    )
