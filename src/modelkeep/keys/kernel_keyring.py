"""Key store for ``kernel:NAME``: the Linux kernel's keyring of this user, in memory that is never swapped.

A key stays until it is deleted or the device restarts: for keys that something else brings at boot,
and for trying out. Every process of the user can read it, nobody else can.
Source: keyrings(7), keyctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from typing import Any

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.hpke import HpkeHandle, HpkeRecipient
from modelkeep.grants.secret import check_device_id
from modelkeep.keys import software_key
from modelkeep.keys.management import Protection, StoreReport
from modelkeep.memory import wipe, wiped

LARGEST_KEY = 8192

_USER_KEYRING = -4
_TYPE = b"user"
# Whoever has the key and the user who owns it: view, read, write, search, link, set attributes.
_OWNER_ALONE = 0x3F3F0000
_HINTS = {
    errno.ENOKEY: "keys in the kernel are gone after a restart: create it again, or bring it at boot",
    errno.EDQUOT: "remove keys that are not used any more, see /proc/key-users",
    errno.EACCES: "run in a session that has the user's keyring: keyctl session",
}


class KernelStore:
    """Keys in the kernel's memory."""

    def open(self, address: str) -> HpkeHandle:
        """Returns the key of this name.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: no such key, or the kernel refuses.
        """
        name = check_device_id(address)
        serial = _call("keyctl_search", _USER_KEYRING, _TYPE, _description(name), 0)
        with wiped(LARGEST_KEY) as buffer:
            size = _call(
                "keyctl_read", serial, (ctypes.c_char * LARGEST_KEY).from_buffer(buffer), LARGEST_KEY
            )
            with memoryview(buffer)[: min(size, LARGEST_KEY)] as content:
                return HpkeHandle(software_key.from_pem(content, f"kernel:{name}"), name)

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient:
        """Puts a new key into the user's keyring and returns its recipient.

        Raises:
            UsageError: not a name for a device, an unknown kind, or the name is taken.
            KeyStoreError: the kernel refuses.
        """
        name = check_device_id(address)
        if not force and _exists(name):
            raise UsageError(f"the kernel has a key named {name!r} already", hint="choose another name")
        keys = software_key.generate(kind)
        pem = software_key.to_pem(keys)
        try:
            payload = (ctypes.c_char * len(pem)).from_buffer(pem)
            serial = _call("add_key", _TYPE, _description(name), payload, len(pem), _USER_KEYRING)
            del payload
        finally:
            wipe(pem)
        _call("keyctl_setperm", serial, _OWNER_ALONE)
        return HpkeHandle(software_key.combined(list(keys), name), name).recipient()

    def delete(self, address: str) -> None:
        """Removes a key.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: no such key.
        """
        description = _description(check_device_id(address))
        _call("keyctl_unlink", _call("keyctl_search", _USER_KEYRING, _TYPE, description, 0), _USER_KEYRING)

    def describe(self, address: str) -> dict[str, Any]:
        """Returns how the key is protected.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: no such key.
        """
        self.open(address).close()
        return {**Protection.SYSTEM.described(), "lasts": "until the device restarts"}

    def examine(self) -> StoreReport:
        """Returns whether this kernel keeps keys for this user."""
        try:
            _exists("modelkeep-doctor")
        except KeyStoreError as error:
            return StoreReport("kernel", False, Protection.SYSTEM, str(error), error.hint or "")
        return StoreReport(
            "kernel", True, Protection.SYSTEM, "the kernel's keyring; keys last until a restart"
        )


def _exists(name: str) -> bool:
    try:
        _call("keyctl_search", _USER_KEYRING, _TYPE, _description(name), 0)
    except KeyStoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOKEY:
            return False
        raise
    return True


def _description(name: str) -> bytes:
    return f"modelkeep:{name}".encode()


def _call(function: str, *arguments: Any) -> int:
    result = getattr(_library(), function)(*arguments)
    if result < 0:
        error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        hint = _HINTS.get(error.errno or 0)
        raise KeyStoreError(f"the kernel's keyring: {(error.strerror or '').lower()}", hint=hint) from error
    return int(result)


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libkeyutils.so.1", use_errno=True)
    except OSError as error:
        raise KeyStoreError("libkeyutils is not installed", hint="apt-get install libkeyutils1") from error
    library.keyctl_read.restype = ctypes.c_long
    library.keyctl_search.restype = ctypes.c_long
    library.add_key.argtypes = [
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    library.keyctl_read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    library.keyctl_setperm.argtypes = [ctypes.c_int, ctypes.c_uint32]
    return library
