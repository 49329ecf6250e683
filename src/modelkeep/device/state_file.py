"""The file form of a device's state.

Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import os
from pathlib import Path

from modelkeep.device import contents_json
from modelkeep.device.authenticated import authenticated, body_of
from modelkeep.device.contents import Contents
from modelkeep.device.local_key import LocalKey
from modelkeep.errors import MalformedError, StorageError, TamperedError
from modelkeep.storage import named, read_small, write_file

LARGEST_STATE = 16 * 2**20

_CONTEXT = b"modelkeep/v1/state"
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
    try:
        with named(path):
            body = body_of(local, data, _CONTEXT, "device state", LARGEST_STATE)
    except MalformedError as error:
        raise MalformedError(str(error), hint=_REPAIR) from None
    if body is None:
        raise TamperedError(f"{path}: was changed by somebody else, or belongs to another key", hint=_REPAIR)
    return contents_json.from_bytes(body)


def write_state(path: Path, local: LocalKey, contents: Contents) -> bytes:
    """Replaces the file, durably; returns what was written.

    Raises:
        StorageError: it cannot be written, or would be too large to be read again.
    """
    data = authenticated(local, contents_json.to_bytes(contents), _CONTEXT)
    if len(contents.models) > contents_json.MOST_MODELS or len(data) > LARGEST_STATE:
        raise StorageError(f"{path}: has no room for another model or installation")
    if len(contents.trust) > contents_json.MOST_ROOT_SETS:
        raise StorageError(f"{path}: has no room for another set of roots")
    write_file(path, data, force=True, mode=0o600)
    return data
