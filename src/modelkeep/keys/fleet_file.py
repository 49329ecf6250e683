"""The one-line files that hold fleet keys."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.errors import KeyStoreError
from modelkeep.grants.fleet_device import FLEET_KEY_BYTES
from modelkeep.memory import wiped
from modelkeep.private_file import read_private
from modelkeep.storage import write_file

_LINE = re.compile(rb"modelkeep-fleet-(master|device) ([A-Za-z0-9+/]{43}=)(?: ([A-Za-z0-9._-]{1,64}))?\n?")


@contextmanager
def read(path: str) -> Iterator[tuple[bytearray, str | None]]:
    """Yields the key (32 bytes, wiped afterwards) and the device id, None for a master.

    Raises:
        StorageError: cannot be read.
        KeyStoreError: not a fleet key file, or not private.
    """
    with wiped(FLEET_KEY_BYTES) as key:
        with read_private(path) as content:
            device_id = _parse(path, content, key)
        yield key, device_id


def write(path: str, key: bytearray | memoryview, device_id: str | None, *, force: bool) -> None:
    """Writes a key file that its owner alone can read.

    Raises:
        StorageError: cannot be written.
        UsageError: the file exists and `force` is not set.
    """
    encoded = base64.b64encode(key)
    if device_id is None:
        line = b"modelkeep-fleet-master %s\n" % encoded
    else:
        line = b"modelkeep-fleet-device %s %s\n" % (encoded, device_id.encode())
    write_file(path, line, force=force, mode=0o600)


def _parse(path: str, content: memoryview, key: bytearray) -> str | None:
    line = _LINE.fullmatch(content)
    if line is None or (line[1] == b"device") != (line[3] is not None):
        raise KeyStoreError(f"{path}: not a fleet key", hint="make one with modelkeep keys create fleet:PATH")
    key[:] = binascii.a2b_base64(content[slice(*line.span(2))])
    return None if line[3] is None else line[3].decode()
