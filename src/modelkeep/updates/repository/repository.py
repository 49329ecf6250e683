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

from modelkeep.channels.channel import AbsentError
from modelkeep.channels.directory import DirectoryChannel
from modelkeep.errors import UsageError
from modelkeep.storage import folder_locked, path_of
from modelkeep.trust.policy import UnsafeAnyModel
from modelkeep.trust.verifier import Verifier
from modelkeep.updates.repository.catalogue import Catalogue
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import METADATA
from modelkeep.updates.repository.published import Published

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
        self._clock = clock

    @property
    def now(self) -> int:
        """Present time in seconds since 1970-01-01 UTC."""
        return int(self._clock())

    def catalogue(self) -> Catalogue:
        """Reads and verifies all of it.

        Raises:
            UsageError: no repository is there.
            TamperedError: it is not what was signed.
            StorageError: it cannot be read.
        """
        try:
            return Catalogue(Published.read(self.channel))
        except AbsentError:
            raise self._absent() from None

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
        with folder_locked(self.folder / METADATA):
            yield

    @contextmanager
    def changing(self) -> Iterator[tuple[Catalogue, Edition]]:
        """Gives what is published and the next edition of it, while nobody else changes it.

        Raises:
            UsageError: no repository is there, or the clock is behind.
            TamperedError: it is not what was signed.
            UnavailableError: it cannot be read, or somebody else is at it for too long.
        """
        with self.locked():
            catalogue = self.catalogue()
            self._check_clock(catalogue.published)
            yield catalogue, Edition.after(catalogue.published, self.now)

    def _check_clock(self, published: Published) -> None:
        # Else devices that know the time would take what is signed now for ended.
        if self.now + _CLOCK_TOLERANCE < published.signed_at:
            raise UsageError(
                "the clock of this machine is behind that of whoever published last",
                hint="set the clock, then publish again",
            )

    def _absent(self) -> UsageError:
        return UsageError(
            f"{self.folder}: no repository is there", hint="make one: modelkeep repo init FOLDER"
        )
