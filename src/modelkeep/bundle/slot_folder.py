"""A folder of two slots: a model that is opened in one of them while the other takes the next release.

Which slot is opened is not said here: the device's state knows it, by the id of the installation.
Source: spec/update-v1.md, "The folder of slots".
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from modelkeep import canonical
from modelkeep.bundle.install_record import first_record
from modelkeep.device.contents import Contents, ModelState, Stage
from modelkeep.errors import RollbackError, StorageError, UsageError
from modelkeep.record import Record
from modelkeep.storage import open_regular, read_small, words_for, write_file

FORMAT = "modelkeep/slots"
VERSION = 1
SLOTS = ("a", "b")
_DESCRIPTION = "slots.json"
_LARGEST_DESCRIPTION = 65_536


class SlotFolder(NamedTuple):
    """Two slots of one model; nothing that is read here is authentic.

    Attributes:
        path: the folder.
        model: the model's id.
    """

    path: Path
    model: str

    @staticmethod
    def is_at(path: str | os.PathLike[str]) -> bool:
        """Returns whether there is a folder of slots at `path`."""
        return (Path(path) / _DESCRIPTION).is_file()

    @staticmethod
    def read(path: str | os.PathLike[str]) -> SlotFolder:
        """Reads what the folder says of itself.

        Raises:
            StorageError: cannot be read.
            MalformedError: not a folder of slots.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        data = read_small(Path(path) / _DESCRIPTION, _LARGEST_DESCRIPTION, "the description of slots")
        with Record(canonical.decode(data, "slots"), "slots") as record:
            record.check_format(FORMAT, VERSION)
            return SlotFolder(Path(path), record.text("model"))

    def create(self) -> None:
        """Makes the folder, for its owner alone.

        Raises:
            StorageError: it cannot be made.
            UsageError: it is one already, or a folder that is there is not for its owner alone.
        """
        with words_for(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
            # Whoever can read it can hold its lock, and whoever can write it what is in it.
            raise UsageError(
                f"{self.path}: a folder that others may use", hint=f"chmod 700 {self.path}, or name a new one"
            )
        if self.is_at(self.path):
            raise UsageError(f"{self.path}: has slots already", hint="name a new folder, or install into it")
        members = {"format": FORMAT, "model": self.model, "version": VERSION}
        write_file(self.path / _DESCRIPTION, canonical.encode(members), mode=0o600)

    def file(self, slot: str) -> Path:
        """Returns where the installation in `slot` is."""
        return self.path / f"{slot}.keep"

    def installation(self, slot: str) -> bytes | None:
        """Returns the id of what is in `slot`, complete or not; None where nothing is."""
        try:
            descriptor = open_regular(self.file(slot))
        except (OSError, StorageError):
            return None
        try:
            record = first_record(descriptor)
        finally:
            os.close(descriptor)
        return None if record is None else record.header.installation

    def current(self, contents: Contents) -> str | None:
        """Returns the slot that counts by what the device remembers; None where none does."""
        state = contents.known(self.model)
        found = {slot: self.installation(slot) for slot in SLOTS}
        counting = [slot for slot, each in found.items() if each is not None and _is_current(state, each)]
        # Of the same release installed twice, the last one.
        active = [slot for slot in counting if found[slot] == state.active]
        return next(iter(active + counting), None)

    def current_file(self, contents: Contents) -> Path:
        """Returns the installation that counts.

        Raises:
            RollbackError: none does.
        """
        slot = self.current(contents)
        if slot is None:
            folder = self.path
            raise RollbackError(
                f"{folder}: {self._problem(contents)}",
                hint=f"modelkeep install BUNDLE -o {folder}, then modelkeep trial {folder}",
            )
        return self.file(slot)

    def _problem(self, contents: Contents) -> str:
        if any(each.stage is Stage.CURRENT for each in contents.known(self.model).installations.values()):
            return "none of the slots holds what counts on this device: it is damaged, gone or elsewhere"
        return "none of the slots counts yet"


def _is_current(state: ModelState, installation: bytes) -> bool:
    known = state.installations.get(installation)
    return known is not None and known.stage is Stage.CURRENT
