"""What a key does besides unwrapping when it belongs to a device, which remembers and installs."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from modelkeep.device.counter import StateCounter
from modelkeep.device.local_key import LocalKey


class DeviceKey(Protocol):
    """A key of a device; a passphrase, which belongs to a person, is none."""

    @property
    def public(self) -> bytes:
        """The public key, or what stands for it: the same for the same key, wherever it is kept."""

    def local_key(self) -> LocalKey:
        """Returns what protects the device's installed models and its state; the caller closes it.

        Raises:
            KeyStoreError: the key cannot be used.
        """


class CountingKey(Protocol):
    """A key whose hardware counts."""

    def counter(self) -> StateCounter | None:
        """Returns the counter that belongs to this key alone, or None where there is none after all."""


def is_device_key(key: object) -> TypeGuard[DeviceKey]:
    """Returns whether a key belongs to a device."""
    # Asked at every opening: looking at every member, as `isinstance` does, makes the public key anew.
    return hasattr(key, "local_key")


def _counts(key: object) -> TypeGuard[CountingKey]:
    return hasattr(key, "counter")


def counter_of(key: DeviceKey) -> StateCounter | None:
    """Returns what counts the changes of the state of `key`'s device, or None where nothing can."""
    return key.counter() if _counts(key) else None
