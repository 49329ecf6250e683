"""What a device must not forget: the lowest epoch of each model, the secret of each installation, and
the number of the newest trust file.

One small file per device key, replaced as a whole under a lock. Where the key's hardware counts, the
state that counts is the one that names the counter's present number: an older one that comes back
with an old disk is refused. Elsewhere it is accepted; see spec/limitations.md.
Source: spec/install-v1.md, "Device state" and "Counters".
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from modelkeep.device.counter import StateCounter
from modelkeep.device.local_key import LocalKey
from modelkeep.device.state_file import (
    SECRET_BYTES,
    Contents,
    Installed,
    ModelState,
    read_state,
    write_state,
)
from modelkeep.errors import RollbackError, StorageError
from modelkeep.memory import wiped
from modelkeep.memory.randomness import fill_random
from modelkeep.storage import is_read_only, sync_folder, words_for


class SeenTrust(NamedTuple):
    """A trust file that a device sees.

    Attributes:
        roots: the name of the set of roots that signed it, 32 bytes.
        number: its number among the files of these roots.
    """

    roots: bytes
    number: int


class DeviceState:
    """The state of one device key; every change is durable when the method returns.

    Args:
        path: where it is kept.
        local: the key that authenticates it.
        counter: what counts its changes, or None.
    """

    def __init__(self, path: Path, local: LocalKey, counter: StateCounter | None = None) -> None:
        self.path = path
        self._next = path.with_name(f"{path.name}.next")
        self._local = local.for_state()
        self._counter = counter

    def floor(self, model: str) -> int:
        """Returns the lowest epoch of `model` that counts on this device; 0 for an unknown model.

        Raises:
            RollbackError: the state is an old one, or is gone.
            TamperedError: the state was changed by somebody else.
            StorageError: it cannot be read.
            KeyStoreError: the counter cannot be read.
        """
        return self._look().models.get(model, ModelState()).epoch

    def time_floor(self) -> int:
        """Returns a time (seconds since 1970-01-01 UTC) that has certainly passed."""
        return self._look().time

    def trust_number(self, roots: bytes) -> int:
        """Returns the number of the newest trust file of `roots` that was seen here; 0 before the first."""
        return self._look().trust.get(roots, 0)

    def see_trust(self, seen: SeenTrust) -> None:
        """Remembers a trust file; older ones are refused from then on.

        Raises:
            RollbackError: a newer one was seen before, or the state is an old one.
            StorageError: the state cannot be read or written, or has no room for another set of roots.
            TamperedError, KeyStoreError: as for `floor`.
        """
        with self._locked():
            contents = self._settled()
            if not _sees(contents, seen):
                return
            self._use_up_number(contents)
            contents.trust[seen.roots] = seen.number
            self._write_counted(contents)

    def secret(self, model: str, installation: bytes) -> bytes:
        """Returns the 32 secret bytes of an installation.

        Raises:
            RollbackError: a newer epoch has replaced it, or this device never made it.
            TamperedError, StorageError, KeyStoreError: as for `floor`.
        """
        known = self._look().models.get(model, ModelState()).installations.get(installation)
        if known is None:
            raise RollbackError(
                "this installation does not count any more, or was not made with this key",
                hint="open the newest installation, or install the bundle again",
            )
        return known.secret

    def prepare(self, model: str, epoch: int, installation: bytes) -> bytes:
        """Adds an installation that is about to be made and returns its new secret.

        Raises:
            RollbackError: a higher epoch of the model was installed before.
            TamperedError, StorageError, KeyStoreError: as for `floor`.
        """
        with self._locked():
            contents = self._settled()
            state = contents.models.setdefault(model, ModelState())
            if epoch < state.epoch:
                raise RollbackError(f"epoch {epoch} is below {state.epoch}, which was installed before")
            with wiped(SECRET_BYTES) as fresh:
                fill_random(memoryview(fresh))
                secret = bytes(fresh)
            state.add(installation, Installed(epoch, secret, pending=True))
            self._write(contents)
        return secret

    @contextmanager
    def committing(
        self, model: str, installation: bytes, now: int, trust: SeenTrust | None = None
    ) -> Iterator[None]:
        """Makes a prepared installation count, once the block has put its file in place.

        Afterwards its epoch is the lowest one that counts: installations of lower epochs can never be
        opened again. Nobody else changes the state during the block, so a file that no longer counts
        never takes the place of one that does. A trust file that was used for it is remembered, too.

        Raises:
            RollbackError: a higher epoch was installed since it was prepared, or a newer trust file seen.
            TamperedError, StorageError, KeyStoreError: as for `floor`.
        """
        with self._locked():
            contents = self._settled()
            state = contents.models.get(model, ModelState())
            installed = state.installations.get(installation)
            if installed is None:
                raise RollbackError(
                    "another installation was made meanwhile", hint="get the newest release of the model"
                )
            newer = trust is not None and _sees(contents, trust)
            self._use_up_number(contents)
            yield
            state.epoch = installed.epoch
            state.installations[installation] = replace(installed, pending=False)
            kept = {key: value for key, value in state.installations.items() if value.epoch >= state.epoch}
            state.installations = kept
            contents.time = max(contents.time, now)
            if trust is not None and newer:
                contents.trust[trust.roots] = trust.number
            self._write_counted(contents)

    def _look(self) -> Contents:
        if self._counter is None:
            return self._settled()
        # Counter and file change one after the other; only under the lock do they fit together.
        try:
            with self._locked():
                return self._settled()
        except StorageError as error:
            if not is_read_only(error):
                raise
            # Where nobody can write, nobody is writing.
            return self._settled(finish=False)

    def _settled(self, *, finish: bool = True) -> Contents:
        """Returns the state that counts, after finishing a change that a crash interrupted.

        Without `finish`, that change is left as it is, which needs no writing.
        """
        contents = read_state(self.path, self._local) or Contents()
        value = None if self._counter is None else self._counter.value()
        if contents.counter == value:
            return contents
        upcoming = read_state(self._next, self._local)
        if upcoming is not None and upcoming.counter == value:
            if finish:
                self._take_next()
            return upcoming
        raise RollbackError(
            f"{self.path}: is not the newest state of this device, or was lost",
            hint="put the newest state back; if it is lost, make a new key and get new grants",
        )

    def _use_up_number(self, contents: Contents) -> None:
        # A change that was cut off before it was counted has left a state with the next number.
        # Whoever kept a copy could choose between the two, so that number goes to what is old.
        if self._counter is not None:
            self._write_counted(contents)

    def _write(self, contents: Contents) -> None:
        if self._counter is not None and contents.counter is None:
            self._write_counted(contents)
            return
        write_state(self.path, self._local, contents)

    def _write_counted(self, contents: Contents) -> None:
        if self._counter is None:
            write_state(self.path, self._local, contents)
            return
        # In this order, so that after a crash at any point one of the two files has the number.
        contents.counter = self._counter.upcoming()
        write_state(self._next, self._local, contents)
        counted = self._counter.advance()
        if counted != contents.counter:
            contents.counter = counted
            write_state(self._next, self._local, contents)
        self._take_next()

    def _take_next(self) -> None:
        with words_for(self.path):
            self._next.replace(self.path)
            sync_folder(self.path.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The file itself is replaced, so the lock needs a file of its own.
        path = self.path.with_name(f"{self.path.name}.lock")
        with words_for(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _sees(contents: Contents, seen: SeenTrust) -> bool:
    """Returns whether a trust file is newer than what the state knows; refuses one that is older."""
    known = contents.trust.get(seen.roots, 0)
    if seen.number < known:
        raise older_trust(seen, known)
    return seen.number > known


def older_trust(seen: SeenTrust, known: int) -> RollbackError:
    """Returns the refusal of a trust file that is older than number `known`."""
    return RollbackError(
        f"trust file {seen.number} is older than {known}, which this device has seen",
        hint="bring the newest trust file of the publisher",
    )
