"""Whether something else counts at a path by now: asked of the file system first, which costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from modelkeep.bundle.access import Access
from modelkeep.bundle.lease import lease_path
from modelkeep.bundle.slot_folder import SLOTS, SlotFolder
from modelkeep.updates.slots import Slots
from modelkeep.updates.trial_file import TrialFile

# Looks at the device's state after each change: what counts is written a moment after what is seen.
_LOOKS = 2

Stamp = tuple[int, int, int]


class Counting(NamedTuple):
    """What counts at a path.

    Attributes:
        what: the id of the installation in a folder of slots, or what tells a file from its replacement.
        lease: what tells its lease from a newer one.
    """

    what: object
    lease: Stamp | None


class Lookout:
    """Looks at a folder of slots, or at one installation.

    Attributes:
        path: where.
    """

    def __init__(self, path: Path, access: Access) -> None:
        self.path = path
        self._access = access
        self._slots = Slots.open(path, access) if SlotFolder.is_at(path) else None
        self._seen = self._glance()
        self._looks = 0

    def close(self) -> None:
        """Closes the identity, if it was made here."""
        self._access.close()

    def saw_change(self) -> bool:
        """Returns whether it is worth asking what counts."""
        seen = self._glance()
        if seen != self._seen:
            self._seen, self._looks = seen, _LOOKS
        self._looks -= 1
        return self._looks >= 0

    def counting(self) -> Counting:
        """Returns what counts.

        Raises:
            KeepError: the device's state cannot be read.
        """
        if self._slots is None:
            return Counting(_stamp(self.path), _stamp(lease_path(self.path)))
        slot = self._slots.primary()
        if slot is None:
            return Counting(None, None)
        folder = self._slots.folder
        return Counting(folder.installation(slot), _stamp(lease_path(folder.file(slot))))

    def _glance(self) -> tuple[object, ...]:
        if self._slots is None:
            return (_stamp(self.path), _stamp(lease_path(self.path)))
        files = [self._slots.folder.file(slot) for slot in SLOTS]
        # A slot changes all the time while a release arrives: of it counts only that it is another file.
        kinds = [stamp and stamp[:2] for stamp in map(_stamp, files)]
        return (*kinds, *(_stamp(lease_path(file)) for file in files), _stamp(TrialFile(self.path).path))


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
