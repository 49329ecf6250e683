"""Looking after keys: what a store may offer beyond opening and creating, by key URI.

A store has these methods if it can; of one that cannot, the calls here raise a UsageError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.keys.registry import calling_store, schemes
from modelkeep.uri import split


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


def delete_key(uri: str | os.PathLike[str]) -> None:
    """Deletes the key at `uri`: its grants never open again.

    Raises:
        UsageError: the store cannot delete.
        KeyStoreError: the store refuses, or there is no such key.
        StorageError: a file cannot be removed.
    """
    _ask(uri, "delete")


def list_keys(scheme: str, address: str = "") -> tuple[str, ...]:
    """Returns the URIs of the keys that a store finds at `address` (a folder, a token, nothing).

    Raises:
        UsageError: the store cannot list.
        KeyStoreError: the store cannot be reached.
    """
    found = _ask(f"{scheme}:{address}", "list")
    return tuple(sorted(f"{scheme}:{name}" for name in found))


def describe_key(uri: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what is public about the key at `uri`, without using it: name to value.

    Raises:
        UsageError: the store cannot describe.
        KeyStoreError: there is no such key.
        StorageError: a file cannot be read.
    """
    described: dict[str, Any] = _ask(uri, "describe")
    return described


def approve_key(uri: str | os.PathLike[str], **options: Any) -> None:
    """Lets the key at `uri` work in another state of the device; the options are the store's.

    Raises:
        UsageError: the store's keys are not bound to a state, or the options do not go with it.
        SignatureError: nobody with authority over the key approved the state.
        KeyStoreError: the store cannot be reached.
        StorageError: a file cannot be read or replaced.
    """
    _ask(uri, "approve", **options)


def examine_stores() -> tuple[StoreReport, ...]:
    """Returns what each store can do here; stores that do not say are left out."""
    reports = (_examine(scheme) for scheme in schemes())
    return tuple(report for report in reports if report is not None)


def _examine(scheme: str) -> StoreReport | None:
    try:
        with calling_store(scheme) as store:
            examine: Callable[[], StoreReport] | None = getattr(store, "examine", None)
            return None if examine is None else examine()
    except KeyStoreError as error:
        return StoreReport(scheme, False, None, str(error), error.hint or "")


def _ask(uri: str | os.PathLike[str], wish: str, **options: Any) -> Any:
    scheme, address = split(uri)
    with calling_store(scheme) as store:
        method = getattr(store, wish, None)
        if method is None:
            raise UsageError(f"keys of scheme {scheme!r} do not support {wish!r}")
        return method(address, **options)
