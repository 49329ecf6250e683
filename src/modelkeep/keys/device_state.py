"""What a device must not forget: the lowest epoch of each model, and the secret of each installation.

One small file per device key. It is authenticated with a key that only the device can unwrap, and
replaced as a whole under a lock. Without hardware that counts, somebody who can write the disk can
still bring back an old state together with its old installations; see spec/limitations.md.
Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import base64
import fcntl
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelkeep import canonical
from modelkeep.errors import RollbackError, StorageError, TamperedError
from modelkeep.keys.local import LocalKey
from modelkeep.keys.randomness import fill_random
from modelkeep.memory import wipe, wiped
from modelkeep.record import Record
from modelkeep.storage import read_small, words_for, write_file

FORMAT = "modelkeep/state"
VERSION = 1
LARGEST_STATE = 16 * 2**20
MOST_MODELS = 10_000
MOST_INSTALLATIONS = 64
INSTALLATION_BYTES = 16
SECRET_BYTES = 32

_KEY_CONTEXT = b"modelkeep/v1/state"


@dataclass(frozen=True, slots=True)
class Installed:
    """What is known of one installation.

    Attributes:
        epoch: the epoch of its model.
        secret: 32 bytes without which it cannot be opened.
        pending: is it still being made, or was that broken off?
    """

    epoch: int
    secret: bytes
    pending: bool = False


@dataclass(slots=True)
class ModelState:
    """What is known of one model.

    Attributes:
        epoch: lowest epoch that counts.
        installations: by id (16 bytes), oldest first.
    """

    epoch: int = 0
    installations: dict[bytes, Installed] = field(default_factory=dict)

    def add(self, installation: bytes, installed: Installed) -> None:
        """Adds an installation; forgets an old one when there are too many."""
        self.installations[installation] = installed
        while len(self.installations) > MOST_INSTALLATIONS:
            # Those first that were broken off: a device that fails over and over keeps what it has.
            others = [key for key in self.installations if key != installation]
            del self.installations[min(others, key=lambda key: not self.installations[key].pending)]


class DeviceState:
    """The state of one device key; every change is durable when the method returns."""

    def __init__(self, path: Path, local: LocalKey) -> None:
        self.path = path
        self._local = local

    def floor(self, model: str) -> int:
        """Returns the lowest epoch of `model` that counts on this device; 0 for an unknown model.

        Raises:
            TamperedError: the state was changed by somebody else.
            StorageError: it cannot be read.
        """
        return self._read()[0].get(model, ModelState()).epoch

    def time_floor(self) -> int:
        """Returns a time (seconds since 1970-01-01 UTC) that has certainly passed."""
        return self._read()[1]

    def secret(self, model: str, installation: bytes) -> bytes:
        """Returns the 32 secret bytes of an installation.

        Raises:
            RollbackError: a newer epoch has replaced it, or this device never made it.
            TamperedError, StorageError: as for `floor`.
        """
        known = self._read()[0].get(model, ModelState()).installations.get(installation)
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
            TamperedError, StorageError: as for `floor`.
        """
        with self._changing() as (models, _times):
            state = models.setdefault(model, ModelState())
            if epoch < state.epoch:
                raise RollbackError(f"epoch {epoch} is below {state.epoch}, which was installed before")
            with wiped(SECRET_BYTES) as fresh:
                fill_random(memoryview(fresh))
                secret = bytes(fresh)
            state.add(installation, Installed(epoch, secret, pending=True))
        return secret

    @contextmanager
    def committing(self, model: str, installation: bytes, now: int) -> Iterator[None]:
        """Makes a prepared installation count, once the block has put its file in place.

        Afterwards its epoch is the lowest one that counts: installations of lower epochs can never be
        opened again. Nobody else changes the state during the block, so a file that no longer counts
        never takes the place of one that does.

        Raises:
            RollbackError: a higher epoch was installed since it was prepared.
            TamperedError, StorageError: as for `floor`.
        """
        with self._changing() as (models, times):
            state = models.get(model, ModelState())
            installed = state.installations.get(installation)
            if installed is None:
                raise RollbackError(
                    "another installation was made meanwhile", hint="get the newest release of the model"
                )
            yield
            state.epoch = installed.epoch
            state.installations[installation] = replace(installed, pending=False)
            kept = {key: value for key, value in state.installations.items() if value.epoch >= state.epoch}
            state.installations = kept
            times[0] = max(times[0], now)

    @contextmanager
    def _changing(self) -> Iterator[tuple[dict[str, ModelState], list[int]]]:
        with self._locked():
            models, time = self._read()
            times = [time]
            yield models, times
            self._write(models, times[0])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The file itself is replaced, so the lock needs a file of its own.
        path = self.path.with_name(f"{self.path.name}.lock")
        with words_for(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> tuple[dict[str, ModelState], int]:
        if not os.path.lexists(self.path):
            return {}, 0
        data = read_small(self.path, LARGEST_STATE, "a device's state")
        with Record(canonical.decode(data, "device state"), "device state") as record:
            body = record.base64("body", longest=LARGEST_STATE)
            key = record.base64("key", longest=1024)
            mac = record.hexadecimal("mac", 32)
        if not hmac.compare_digest(self._mac(key, body), mac):
            raise TamperedError(f"{self.path}: was changed by somebody else", hint=_REPAIR)
        return _parse(body)

    def _write(self, models: dict[str, ModelState], time: int) -> None:
        body = canonical.encode(_to_json(models, time))
        # A new key for every state: an old key opens no new state.
        with wiped(32) as fresh:
            fill_random(memoryview(fresh))
            key = self._local.wrap(memoryview(fresh), _KEY_CONTEXT)
        members = {
            "body": base64.b64encode(body).decode(),
            "key": base64.b64encode(key).decode(),
            "mac": self._mac(key, body).hex(),
        }
        data = canonical.encode(members)
        if len(models) > MOST_MODELS or len(data) > LARGEST_STATE:
            raise StorageError(f"{self.path}: has no room for another model or installation")
        write_file(self.path, data, force=True, mode=0o600)

    def _mac(self, wrapped: bytes, body: bytes) -> bytes:
        key = self._local.unwrap(wrapped, _KEY_CONTEXT)
        try:
            return hmac.digest(key, body, "sha256")
        finally:
            wipe(key)


_REPAIR = "find out who writes to this disk; removing the file forgets all installations"


def _to_json(models: dict[str, ModelState], time: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "models": [
            {
                "epoch": state.epoch,
                "installations": [
                    _installation_to_json(identifier, installed)
                    for identifier, installed in state.installations.items()
                ],
                "model": model,
            }
            for model, state in models.items()
        ],
        "time": time,
        "version": VERSION,
    }


def _installation_to_json(identifier: bytes, installed: Installed) -> dict[str, Any]:
    members = {"epoch": installed.epoch, "id": identifier.hex(), "secret": installed.secret.hex()}
    return members | ({"pending": True} if installed.pending else {})


def _parse(body: bytes) -> tuple[dict[str, ModelState], int]:
    with Record(canonical.decode(body, "device state"), "device state") as record:
        if record.text("format") != FORMAT or record.integer("version") != VERSION:
            raise StorageError("the device's state was written by another version", hint="update modelkeep")
        models = dict(_model(item) for item in record.items("models", longest=MOST_MODELS))
        return models, record.integer("time")


def _model(item: object) -> tuple[str, ModelState]:
    with Record(item, "device state: model") as record:
        installations = dict(
            _installation(each) for each in record.items("installations", longest=MOST_INSTALLATIONS)
        )
        return record.text("model"), ModelState(record.integer("epoch"), installations)


def _installation(item: object) -> tuple[bytes, Installed]:
    with Record(item, "device state: installation") as record:
        identifier = record.hexadecimal("id", INSTALLATION_BYTES)
        epoch, secret = record.integer("epoch"), record.hexadecimal("secret", SECRET_BYTES)
        pending = "pending" in record and record.boolean("pending")
        return identifier, Installed(epoch, secret, pending)
