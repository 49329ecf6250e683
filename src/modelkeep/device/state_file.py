"""The file form of a device's state, authenticated with a key that only the device can unwrap.

Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import base64
import hmac
import os
from pathlib import Path

from modelkeep import canonical
from modelkeep.device import contents_json
from modelkeep.device.contents import Contents
from modelkeep.device.local_key import LocalKey
from modelkeep.errors import StorageError, TamperedError
from modelkeep.memory import wipe, wiped
from modelkeep.memory.randomness import fill_random
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

LARGEST_STATE = 16 * 2**20

_KEY_CONTEXT = b"modelkeep/v1/state"
_REPAIR = (
    "put this key's own state back; with a new key, or when you know who changed it, remove the file, "
    "which forgets all installations"
)


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
    return contents_json.from_bytes(body)


def write_state(path: Path, local: LocalKey, contents: Contents) -> bytes:
    """Replaces the file, durably; returns what was written.

    Raises:
        StorageError: it cannot be written, or would be too large to be read again.
    """
    body = contents_json.to_bytes(contents)
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
    if len(contents.models) > contents_json.MOST_MODELS or len(data) > LARGEST_STATE:
        raise StorageError(f"{path}: has no room for another model or installation")
    if len(contents.trust) > contents_json.MOST_ROOT_SETS:
        raise StorageError(f"{path}: has no room for another set of roots")
    write_file(path, data, force=True, mode=0o600)
    return data


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
