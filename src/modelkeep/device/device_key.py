"""What a key does besides unwrapping when it belongs to a device, which remembers and installs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from modelkeep.device.counter import StateCounter
from modelkeep.device.local_key import LocalKey


@runtime_checkable
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


@runtime_checkable
class CountingKey(Protocol):
    """A key whose hardware counts."""

    def counter(self) -> StateCounter | None:
        """Returns the counter that belongs to this key alone, or None where there is none after all."""


def counter_of(key: DeviceKey) -> StateCounter | None:
    """Returns what counts the changes of the state of `key`'s device, or None where nothing can."""
    return key.counter() if isinstance(key, CountingKey) else None
