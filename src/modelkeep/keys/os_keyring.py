"""Key store for ``keyring:NAME``: the keyring of a person's session, through package keyring.

That is the Secret Service on Linux, the Keychain on macOS, the Credential Locker on Windows. What is
kept is the key in PEM, under service ``modelkeep``. The package speaks in text, so that a copy of
it stays in this process's memory until it is collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keyring
import keyring.errors

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.grants.hpke import HpkeHandle, HpkeRecipient
from modelkeep.grants.secret import check_device_id
from modelkeep.keys import software_key
from modelkeep.keys.management import Protection, StoreReport
from modelkeep.memory import wipe

SERVICE = "modelkeep"
# Backends of which package keyring itself says that they protect nothing, or that there is none.
_LOWEST_PRIORITY = 1


class KeyringStore:
    """Keys in the keyring of the person who is logged in."""

    def open(self, address: str) -> HpkeHandle:
        """Returns the key of this name.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: no keyring, a locked one, no such key, or not a key for models.
        """
        name = check_device_id(address)
        with _words():
            text = keyring.get_password(SERVICE, name)
        if text is None:
            raise KeyStoreError(
                f"the keyring has no key named {name!r}", hint=f"modelkeep keys create keyring:{name}"
            )
        pem = bytearray(text.encode())
        try:
            with memoryview(pem) as content:
                return HpkeHandle(software_key.from_pem(content, f"keyring:{name}"), name)
        finally:
            wipe(pem)

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient:
        """Puts a new key into the keyring and returns its recipient.

        Raises:
            UsageError: not a name for a device, an unknown kind, or the name is taken.
            KeyStoreError: no keyring, a locked one, or one that protects nothing.
        """
        name = check_device_id(address)
        keys = software_key.generate(kind)
        _require_protection()
        pem = software_key.to_pem(keys)
        try:
            with _words():
                if not force and keyring.get_password(SERVICE, name) is not None:
                    raise UsageError(
                        f"the keyring has a key named {name!r} already", hint="choose another name"
                    )
                keyring.set_password(SERVICE, name, pem.decode())
        finally:
            wipe(pem)
        return HpkeHandle(software_key.combined(list(keys), name), name).recipient()

    def delete(self, address: str) -> None:
        """Removes a key.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: no keyring, a locked one, or no such key.
        """
        with _words():
            keyring.delete_password(SERVICE, check_device_id(address))

    def describe(self, address: str) -> dict[str, Any]:
        """Returns which keyring holds the key.

        Raises:
            UsageError: not a name for a device.
            KeyStoreError: no keyring, a locked one, or no such key.
        """
        self.open(address).close()
        return {**Protection.SYSTEM.described(), "keyring": keyring.get_keyring().name}

    def examine(self) -> StoreReport:
        """Returns which keyring this session has."""
        try:
            _require_protection()
        except KeyStoreError as error:
            return StoreReport("keyring", False, Protection.SYSTEM, str(error), error.hint or "")
        return StoreReport("keyring", True, Protection.SYSTEM, keyring.get_keyring().name)


def _require_protection() -> None:
    backend = keyring.get_keyring()
    if backend.priority < _LOWEST_PRIORITY:
        raise KeyStoreError(
            f"this session has no keyring that protects keys (found: {backend.name})",
            hint="start one, for example gnome-keyring-daemon, or use another key store",
        )


@contextmanager
def _words() -> Iterator[None]:
    try:
        yield
    except keyring.errors.NoKeyringError as error:
        raise KeyStoreError(
            "this session has no keyring", hint="start one, or use another key store"
        ) from error
    except keyring.errors.KeyringLocked as error:
        raise KeyStoreError("the keyring is locked", hint="unlock it and try again") from error
    except keyring.errors.PasswordDeleteError as error:
        raise KeyStoreError("the keyring has no such key") from error
    except keyring.errors.KeyringError as error:
        raise KeyStoreError(f"the keyring failed: {type(error).__name__}") from error
