"""What a site learned, on disk: sealed under the key of its device, bound to the publisher's profile.

Source: spec/guard-v1.md, "Sites".
"""

from __future__ import annotations

import base64
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from modelkeep import canonical
from modelkeep.errors import MalformedError, TamperedError, UsageError
from modelkeep.guard.profile import LARGEST_PROFILE, GuardProfile
from modelkeep.guard.profile_json import parse_profile
from modelkeep.guard.site import at_site
from modelkeep.keys.identity import Identity
from modelkeep.memory import wipe, wiped
from modelkeep.memory.randomness import fill_random
from modelkeep.record import Record
from modelkeep.storage import read_small, write_file

_FORMAT = "modelkeep/site"
_VERSION = 1
_WHAT = "a site's profile"
_LABEL = b"modelkeep/v1/site"
_LARGEST_WRAPPED = 65_536
_LARGEST = 2 * LARGEST_PROFILE
# Every key encrypts once.
_NONCE = bytes(12)


def save_site(
    site: GuardProfile,
    path: str | os.PathLike[str],
    *,
    profile: GuardProfile,
    identity: Identity,
    force: bool = False,
) -> None:
    """Writes what a site learned, so that this device alone can read or change it.

    Args:
        site: what `adapt` returned.
        path: file to write.
        profile: the publisher's profile that it was adapted from.
        identity: the key of this device.
        force: replace an existing file.

    Raises:
        UsageError: the site's profile was not adapted from the publisher's; or the file exists and `force`
            is not set; or this kind of key belongs to no device.
        KeyStoreError: the key cannot be used.
        StorageError: cannot be written.
    """
    at_site(profile, site)
    context = _context(profile)
    local = identity.local_key()
    try:
        with wiped(32) as key, memoryview(key) as view:
            fill_random(view)
            wrapped = local.wrap(view, context)
            sealed = AESGCM(key).encrypt(_NONCE, site.to_bytes(), context)
    finally:
        local.close()
    value = {
        "format": _FORMAT,
        "sealed": base64.b64encode(sealed).decode(),
        "version": _VERSION,
        "wrapped": base64.b64encode(wrapped).decode(),
    }
    write_file(path, canonical.encode(value), force=force, mode=0o600)


def load_site(path: str | os.PathLike[str], *, profile: GuardProfile, identity: Identity) -> GuardProfile:
    """Reads what a site learned.

    Raises:
        StorageError: cannot be read.
        MalformedError: not such a file.
        TamperedError: not written by this device, not for this publisher's profile, or changed since.
        UsageError: this kind of key belongs to no device.
        KeyStoreError: the key cannot be used.
    """
    with Record(canonical.decode(read_small(path, _LARGEST, _WHAT), _WHAT), _WHAT) as record:
        if record.text("format") != _FORMAT or record.integer("version") != _VERSION:
            raise MalformedError(f"{_WHAT}: not one that this version knows")
        wrapped = record.base64("wrapped", longest=_LARGEST_WRAPPED)
        sealed = record.base64("sealed", longest=_LARGEST)
    site = parse_profile(_opened(wrapped, sealed, _context(profile), identity))
    try:
        at_site(profile, site)
    except UsageError as error:
        raise MalformedError(f"{_WHAT}: {error}") from None
    return site


def _opened(wrapped: bytes, sealed: bytes, context: bytes, identity: Identity) -> bytes:
    local = identity.local_key()
    try:
        key = local.unwrap(wrapped, context)
        try:
            return AESGCM(key).decrypt(_NONCE, sealed, context)
        finally:
            wipe(key)
    except (TamperedError, InvalidTag):
        raise TamperedError(
            f"{_WHAT} is not of this device and this model's profile, or was changed since",
            hint="let the operator adapt it again",
        ) from None
    finally:
        local.close()


def _context(profile: GuardProfile) -> bytes:
    return _LABEL + hashlib.sha256(profile.to_bytes()).digest()
