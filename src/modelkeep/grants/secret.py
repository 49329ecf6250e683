"""The encrypted part of a grant. Source: spec/grant-v1.md, "Grant secret".

    data key [32] | length of the device id [1] | device id, ASCII | zero bytes up to 104

The length never depends on the device id, so a wrapped grant does not tell it. The device id
names the device in reports; what ties a grant to a device is the device's key alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from modelkeep.errors import MalformedError, UsageError
from modelkeep.grants.data_key import DATA_KEY_BYTES, DataKey

SECRET_BYTES = 104
LONGEST_DEVICE_ID = 64

_DEVICE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_device_id(text: str) -> bool:
    """Returns whether `text` may name a device: 1 to 64 letters, digits, dots, dashes, underscores."""
    return _DEVICE_ID.fullmatch(text) is not None


def check_device_id(text: str) -> str:
    """Returns `text` if it may name a device.

    Raises:
        UsageError: it may not.
    """
    if not is_device_id(text):
        raise UsageError(
            f"not a device id: {text[:80]!r}", hint="use 1 to 64 letters, digits, '.', '_' and '-'"
        )
    return text


def device_id_of(path: str) -> str:
    """Returns the stem of a key's file name where it may name a device, otherwise nothing."""
    stem = Path(path).stem
    return stem if is_device_id(stem) else ""


def pack(secret: bytearray, data_key: DataKey, device_id: str) -> None:
    """Writes the secret into `secret`, a buffer of 104 bytes; `device_id` may be empty.

    Raises:
        UsageError: not a device id.
    """
    name = check_device_id(device_id).encode() if device_id else b""
    view = memoryview(secret)
    view[:DATA_KEY_BYTES] = data_key.view
    view[DATA_KEY_BYTES] = len(name)
    view[DATA_KEY_BYTES + 1 :] = name.ljust(SECRET_BYTES - DATA_KEY_BYTES - 1, b"\0")


def unpack(secret: bytearray) -> tuple[DataKey, str]:
    """Returns the data key, copied, and the device id; wiping `secret` is the caller's.

    Raises:
        MalformedError: not a grant secret: its length, device id or padding is wrong.
    """
    if len(secret) != SECRET_BYTES:
        raise MalformedError(f"grant secret: must be {SECRET_BYTES} bytes")
    view = memoryview(secret)
    device_id = _device_id(view[DATA_KEY_BYTES:])
    return DataKey.from_buffer(view[:DATA_KEY_BYTES]), device_id


def _device_id(field: memoryview) -> str:
    length = field[0]
    if length > LONGEST_DEVICE_ID:
        raise MalformedError("grant secret: device id is too long")
    if any(field[1 + length :]):
        raise MalformedError("grant secret: padding is not zero")
    # Latin-1 decodes anything, so that the pattern alone decides.
    device_id = bytes(field[1 : 1 + length]).decode("latin-1")
    if device_id and not is_device_id(device_id):
        raise MalformedError("grant secret: device id holds characters that are not allowed")
    return device_id
