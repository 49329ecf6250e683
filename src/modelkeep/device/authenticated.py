"""Bytes that a device wrote for itself, authenticated with a key that only the device can unwrap.

Authentic, not secret, and not fresh: older ones can be put back. Source: spec/install-v1.md, "Device state".
"""

from __future__ import annotations

import base64
import hmac

from modelkeep import canonical
from modelkeep.device.local_key import LocalKey
from modelkeep.errors import TamperedError
from modelkeep.memory import wipe, wiped
from modelkeep.memory.randomness import fill_random
from modelkeep.record import Record


def authenticated(local: LocalKey, body: bytes, context: bytes) -> bytes:
    """Returns `body` with what proves that this device wrote it.

    Args:
        local: the device's local key.
        body: what it says.
        context: for what; the same bytes mean nothing elsewhere.

    Raises:
        KeyStoreError: the key cannot be used.
    """
    # A new key each time: an old key opens nothing new.
    with wiped(32) as fresh:
        fill_random(memoryview(fresh))
        key = local.wrap(memoryview(fresh), context)
    members = {
        "body": base64.b64encode(body).decode(),
        "key": base64.b64encode(key).decode(),
        "mac": _mac(local, key, body, context).hex(),
    }
    return canonical.encode(members)


def body_of(local: LocalKey, data: bytes, context: bytes, what: str, largest: int) -> bytes | None:
    """Returns what this device wrote with `authenticated`; None of what somebody else wrote.

    Args:
        local: the device's local key.
        data: what was read.
        context: for what it was written.
        what: what it is called, for people.
        largest: the longest body that is taken, in bytes.

    Raises:
        MalformedError: not of this form.
        KeyStoreError: the key cannot be used.
    """
    with Record(canonical.decode(data, what), what) as record:
        body = record.base64("body", longest=largest)
        key = record.base64("key", longest=1024)
        mac = record.hexadecimal("mac", 32)
    return body if _is_ours(local, key, body, mac, context) else None


def _is_ours(local: LocalKey, wrapped: bytes, body: bytes, mac: bytes, context: bytes) -> bool:
    try:
        return hmac.compare_digest(_mac(local, wrapped, body, context), mac)
    except TamperedError:  # the words would be about an installation
        return False


def _mac(local: LocalKey, wrapped: bytes, body: bytes, context: bytes) -> bytes:
    key = local.unwrap(wrapped, context)
    try:
        return hmac.digest(key, body, "sha256")
    finally:
        wipe(key)
