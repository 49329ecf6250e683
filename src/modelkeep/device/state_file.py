"""The file form of a device's state, authenticated with a key that only the device can unwrap.

Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelkeep import canonical
from modelkeep.device.local_key import LocalKey
from modelkeep.errors import StorageError, TamperedError
from modelkeep.memory import wipe, wiped
from modelkeep.memory.randomness import fill_random
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

FORMAT = "modelkeep/state"
VERSION = 1
LARGEST_STATE = 16 * 2**20
MOST_MODELS = 10_000
MOST_INSTALLATIONS = 64
MOST_ROOT_SETS = 1000
INSTALLATION_BYTES = 16
SECRET_BYTES = 32
ROOTS_BYTES = 32

_KEY_CONTEXT = b"modelkeep/v1/state"
_REPAIR = (
    "put this key's own state back; with a new key, or when you know who changed it, remove the file, "
    "which forgets all installations"
)


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


@dataclass(slots=True)
class Contents:
    """What a state file says.

    Attributes:
        models: by model id.
        time: seconds since 1970-01-01 UTC that have certainly passed.
        trust: number of the newest trust file seen, by the name of its roots (32 bytes).
        counter: what the device's counter says as long as this state counts; None without counter.
    """

    models: dict[str, ModelState] = field(default_factory=dict)
    time: int = 0
    trust: dict[bytes, int] = field(default_factory=dict)
    counter: int | None = None


def read_state(path: Path, local: LocalKey) -> Contents | None:
    """Returns what the file says, or None if there is none.

    Raises:
        TamperedError: it was changed by somebody else.
        MalformedError: not a state file.
        StorageError: it cannot be read.
    """
    if not os.path.lexists(path):
        return None
    data = read_small(path, LARGEST_STATE, "a device's state")
    with Record(canonical.decode(data, "device state"), "device state") as record:
        body = record.base64("body", longest=LARGEST_STATE)
        key = record.base64("key", longest=1024)
        mac = record.hexadecimal("mac", 32)
    if not _is_ours(local, key, body, mac):
        raise TamperedError(f"{path}: was changed by somebody else, or belongs to another key", hint=_REPAIR)
    return _parse(body)


def write_state(path: Path, local: LocalKey, contents: Contents) -> None:
    """Replaces the file, durably.

    Raises:
        StorageError: it cannot be written, or would be too large to be read again.
    """
    body = canonical.encode(_to_json(contents))
    # A new key for every state: an old key opens no new state.
    with wiped(32) as fresh:
        fill_random(memoryview(fresh))
        key = local.wrap(memoryview(fresh), _KEY_CONTEXT)
    members = {
        "body": base64.b64encode(body).decode(),
        "key": base64.b64encode(key).decode(),
        "mac": _mac(local, key, body).hex(),
    }
    data = canonical.encode(members)
    if len(contents.models) > MOST_MODELS or len(data) > LARGEST_STATE:
        raise StorageError(f"{path}: has no room for another model or installation")
    if len(contents.trust) > MOST_ROOT_SETS:
        raise StorageError(f"{path}: has no room for another set of roots")
    write_file(path, data, force=True, mode=0o600)


def _is_ours(local: LocalKey, wrapped: bytes, body: bytes, mac: bytes) -> bool:
    try:
        return hmac.compare_digest(_mac(local, wrapped, body), mac)
    except TamperedError:  # the words would be about an installation
        return False


def _mac(local: LocalKey, wrapped: bytes, body: bytes) -> bytes:
    key = local.unwrap(wrapped, _KEY_CONTEXT)
    try:
        return hmac.digest(key, body, "sha256")
    finally:
        wipe(key)


def _to_json(contents: Contents) -> dict[str, Any]:
    members: dict[str, Any] = {
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
            for model, state in contents.models.items()
        ],
        "time": contents.time,
        "version": VERSION,
    }
    if contents.trust:
        numbers = sorted(contents.trust.items())
        members["trust"] = [{"number": number, "roots": roots.hex()} for roots, number in numbers]
    return members | ({} if contents.counter is None else {"counter": contents.counter})


def _installation_to_json(identifier: bytes, installed: Installed) -> dict[str, Any]:
    members = {"epoch": installed.epoch, "id": identifier.hex(), "secret": installed.secret.hex()}
    return members | ({"pending": True} if installed.pending else {})


def _parse(body: bytes) -> Contents:
    with Record(canonical.decode(body, "device state"), "device state") as record:
        if record.text("format") != FORMAT or record.integer("version") != VERSION:
            raise StorageError("the device's state was written by another version", hint="update modelkeep")
        models = dict(_model(item) for item in record.items("models", longest=MOST_MODELS))
        counter = record.integer("counter") if "counter" in record else None
        seen = record.items("trust", longest=MOST_ROOT_SETS) if "trust" in record else []
        return Contents(models, record.integer("time"), dict(map(_trust, seen)), counter)


def _trust(item: object) -> tuple[bytes, int]:
    with Record(item, "device state: trust") as record:
        return record.hexadecimal("roots", ROOTS_BYTES), record.integer("number")


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
