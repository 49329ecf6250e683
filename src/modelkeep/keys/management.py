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


class Protection(Enum):
    """What stands between a key and whoever has the device, weakest first."""

    PERSON = "a passphrase that somebody remembers"
    FILE = "file permissions alone: whoever reads the disk has the key"
    ENCRYPTED = "encryption under a passphrase or another secret of this system"
    SYSTEM = "the operating system: other users and a stolen disk do not get the key"
    TPM = "the TPM: the key cannot leave it; root can use the key while the device runs"
    HARDWARE = "a PKCS#11 token: how strong it is depends on the token"


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


def reseal_key(uri: str | os.PathLike[str], **options: Any) -> None:
    """Lets the key at `uri` work in another state of the device; the options are the store's.

    Raises:
        UsageError: the store's keys are not bound to a state, or the options do not go with it.
        SignatureError: nobody with authority over the key approved the state.
        KeyStoreError: the store cannot be reached.
        StorageError: a file cannot be read or replaced.
    """
    _ask(uri, "reseal", **options)


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
