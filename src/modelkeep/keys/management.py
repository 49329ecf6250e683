"""Looking after keys: what a store may offer beyond opening and creating, by key URI.

A store has these methods if it can; of one that cannot, the calls here raise a UsageError.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar, runtime_checkable

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.registry import calling_store, schemes
from modelkeep.uri import split

Ability = TypeVar("Ability")


class Level(Enum):
    """How well a store protects keys, in one word, weakest first."""

    SOFTWARE = "software"
    SYSTEM = "system"
    TPM = "TPM"
    TEE = "TEE"
    HSM = "HSM"


class Protection(Enum):
    """What stands between a key and whoever has the device, weakest first."""

    PERSON = "a passphrase that somebody remembers"
    FILE = "file permissions alone: whoever reads the disk has the key"
    ENCRYPTED = "encryption under a passphrase or another secret of this system"
    SYSTEM = "the operating system: other users and a stolen disk do not get the key"
    SOFTWARE_TPM = "a TPM in software: whoever runs it, such as the host of a virtual machine, has the key"
    SOFTWARE_MODULE = "software, or nothing that calls itself hardware: whoever has its files has the key"
    TPM = "the TPM: the key cannot leave it; root can use the key while the device runs"
    TEE = "the processor's TEE: the key cannot leave it; root can use the key while the device runs"
    HARDWARE = "a token or HSM: the key cannot leave it; how strong it is depends on the token"

    @property
    def level(self) -> Level:
        """The same in one word."""
        return _LEVELS[self]

    def described(self) -> dict[str, Any]:
        """Returns both as members of what `describe` of a store returns."""
        return {"level": self.level.value, "protection": self.value}


_LEVELS = {
    Protection.PERSON: Level.SOFTWARE,
    Protection.FILE: Level.SOFTWARE,
    Protection.ENCRYPTED: Level.SOFTWARE,
    Protection.SYSTEM: Level.SYSTEM,
    Protection.SOFTWARE_TPM: Level.SOFTWARE,
    Protection.SOFTWARE_MODULE: Level.SOFTWARE,
    Protection.TPM: Level.TPM,
    Protection.TEE: Level.TEE,
    Protection.HARDWARE: Level.HSM,
}


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a store can do on this device.

    Attributes:
        scheme: the scheme of its URIs.
        usable: does it work here and now?
        protection: what it protects keys with; None when the store could not be asked.
        detail: what was found.
        advice: how to make it work, or to get better protection; may be empty.
    """

    scheme: str
    usable: bool
    protection: Protection | None
    detail: str
    advice: str = ""

    @property
    def level(self) -> Level | None:
        """The level of its protection; None when the store could not be asked."""
        return None if self.protection is None else self.protection.level


@runtime_checkable
class DeletingStore(Protocol):
    """A store that can delete keys."""

    def delete(self, address: str) -> None:
        """Deletes the key at `address`."""


@runtime_checkable
class ListingStore(Protocol):
    """A store that can find keys."""

    def list(self, address: str) -> Iterable[str]:
        """Yields the addresses of the keys at `address`: a folder, a token, nothing."""


@runtime_checkable
class DescribingStore(Protocol):
    """A store that can say what is public about a key."""

    def describe(self, address: str) -> dict[str, Any]:
        """Returns it, name to value."""


@runtime_checkable
class ApprovingStore(Protocol):
    """A store whose keys are bound to a state of the system that an authority may approve."""

    def approve(self, address: str, **options: Any) -> None:
        """Lets the key at `address` work in another state; the options are the store's."""


@runtime_checkable
class ExaminableStore(Protocol):
    """A store that can say what it is worth on this device."""

    def examine(self) -> StoreReport:
        """Returns that."""


def delete_key(uri: str | os.PathLike[str]) -> None:
    """Deletes the key at `uri`: its grants never open again.

    Raises:
        UsageError: the store cannot delete.
        KeyStoreError: the store refuses, or there is no such key.
        StorageError: a file cannot be removed.
    """
    with _able(uri, DeletingStore, "delete") as (store, address):
        store.delete(address)


def list_keys(scheme: str, address: str = "") -> tuple[str, ...]:
    """Returns the URIs of the keys that a store finds at `address` (a folder, a token, nothing).

    Raises:
        UsageError: the store cannot list.
        KeyStoreError: the store cannot be reached.
    """
    with _able(f"{scheme}:{address}", ListingStore, "list") as (store, place):
        return tuple(sorted(f"{scheme}:{name}" for name in store.list(place)))


def describe_key(uri: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what is public about the key at `uri`, without using it: name to value.

    Raises:
        UsageError: the store cannot describe.
        KeyStoreError: there is no such key.
        StorageError: a file cannot be read.
    """
    with _able(uri, DescribingStore, "describe") as (store, address):
        return store.describe(address)


def approve_key(uri: str | os.PathLike[str], **options: Any) -> None:
    """Lets the key at `uri` work in another state of the device; the options are the store's.

    Raises:
        UsageError: the store's keys are not bound to a state, or the options do not go with it.
        SignatureError: nobody with authority over the key approved the state.
        KeyStoreError: the store cannot be reached.
        StorageError: a file cannot be read or replaced.
    """
    with _able(uri, ApprovingStore, "approve") as (store, address):
        store.approve(address, **options)


def examine_stores() -> tuple[StoreReport, ...]:
    """Returns what each store can do here; stores that do not say are left out."""
    reports = (_examine(scheme) for scheme in schemes())
    return tuple(report for report in reports if report is not None)


def _examine(scheme: str) -> StoreReport | None:
    try:
        with calling_store(scheme) as store:
            return store.examine() if isinstance(store, ExaminableStore) else None
    except KeyStoreError as error:
        return StoreReport(scheme, False, None, str(error), error.hint or "")


@contextmanager
def _able(uri: str | os.PathLike[str], ability: type[Ability], verb: str) -> Iterator[tuple[Ability, str]]:
    scheme, address = split(uri)
    with calling_store(scheme) as store:
        if not isinstance(store, ability):
            raise UsageError(f"keys of scheme {scheme!r} do not support {verb!r}")
        yield store, address
