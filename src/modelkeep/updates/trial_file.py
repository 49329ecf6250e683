"""The notes of trials in a folder of slots.

Authentic, as a release may be given up for what they say, and not fresh: who takes them away, or puts older
ones back, makes a device try once more. Source: spec/update-v1.md, "Trials".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelkeep.device.authenticated import authenticated, body_of
from modelkeep.device.local_key import LocalKey
from modelkeep.errors import KeepError, MalformedError, RefusedError, StorageError, UnavailableError
from modelkeep.storage import read_small, write_file
from modelkeep.updates.trial_notes import MOST_CRASHES, MOST_DAMAGES, Notes, TrialEnd, boot_id, encode, parse

_CONTEXT = b"modelkeep/v1/trial"
_LARGEST = 65_536


class TrialFile:
    """The notes in a folder of slots."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trial.json"

    def read(self, local: LocalKey) -> Notes | None:
        """Returns what this device noted, or None where nothing is, or nothing that it wrote."""
        try:
            data = read_small(self.path, 2 * _LARGEST, "notes of trials")
            body = body_of(local.for_state(), data, _CONTEXT, "trial notes", _LARGEST)
            return None if body is None else parse(body)
        except (StorageError, MalformedError):
            return None

    def begin(self, bundle: bytes, now: bytes, local: LocalKey) -> None:
        """Notes that a try begins under the circumstances `now`.

        Raises:
            RefusedError: the release crashed too often.
            UnavailableError: it was interrupted or postponed too often; it waits.
            StorageError: it cannot be noted.
        """
        boot = boot_id()
        notes = self._of(bundle, local).cut_off(boot)
        try:
            _check(notes, boot, now, self.path.parent)
        except KeepError:
            self._write(notes, local)
            raise
        self._write(replace(notes, boot=boot, waits=None, tried=now), local)

    def end(self, bundle: bytes, end: TrialEnd, reason: str, local: LocalKey, *, counts: bool = True) -> None:
        """Notes what a try came to.

        Raises:
            StorageError: it cannot be noted.
        """
        before = self._of(bundle, local)
        notes = before.ended(end, reason)
        self._write(notes if counts else replace(notes, postponed=before.postponed), local)

    def forgive(self, local: LocalKey) -> None:
        """Begins to count anew what was interrupted, postponed or damaged.

        Raises:
            StorageError: it cannot be noted.
        """
        notes = self.read(local)
        if notes is not None:
            self._write(notes.cut_off(boot_id()).forgiven(), local)

    def check_disk(self, bundle: bytes, local: LocalKey) -> None:
        """Refuses what was damaged here twice: it is the disk.

        Raises:
            StorageError: it was.
        """
        if self._of(bundle, local).damaged >= MOST_DAMAGES:
            folder = self.path.parent
            raise StorageError(
                f"{folder}: this release was damaged here {MOST_DAMAGES} times",
                hint=f"see to the disk; then modelkeep trial {folder} --again",
            )

    def _of(self, bundle: bytes, local: LocalKey) -> Notes:
        notes = self.read(local)
        return notes if notes is not None and notes.bundle == bundle else Notes(bundle)

    def _write(self, notes: Notes, local: LocalKey) -> None:
        data = authenticated(local.for_state(), encode(notes), _CONTEXT)
        write_file(self.path, data, force=True, mode=0o600)


def _check(notes: Notes, boot: str, now: bytes, folder: Path) -> None:
    if notes.crashed >= MOST_CRASHES:
        raise RefusedError(f"the release crashed {notes.crashed} times in a row; it is in quarantine")
    if notes.waits == boot:
        raise UnavailableError(
            f"the device was started anew in {notes.interrupted} trials of this release",
            hint="it is tried again after the next start; see to the power, or to what restarts it",
        )
    if notes.is_put_off and notes.tried == now:
        raise UnavailableError(
            f"{notes.postponed} trials of this release were postponed, the last one because: {notes.reason}",
            hint=f"it is tried again when something has changed, or by modelkeep trial {folder} --again",
        )
