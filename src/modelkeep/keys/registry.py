"""Key stores by the scheme of a key's URI, found through entry points when they are needed.

Other packages add a scheme with an entry point in group ``modelkeep.keys`` whose value is a
class with the methods of `KeyStore`; the schemes of this package are registered the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from modelkeep import plugins
from modelkeep.errors import KeepError, KeyStoreError, UsageError
from modelkeep.grants.recipient import KeyHandle, Recipient
from modelkeep.plugins import Plugin
from modelkeep.uri import split

GROUP = "modelkeep.keys"
# Schemes of this package whose libraries are installed on request.
EXTRAS = frozenset({"keyring", "pkcs11", "tpm2"})


class KeyStore(Protocol):
    """A place that keys live in. Made without arguments."""

    def open(self, address: str) -> KeyHandle:
        """Returns the key at `address`, the part of the URI after the scheme."""

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> Recipient | None:
        """Makes a key of `kind` (None: the store's usual one) at `address`.

        Returns its recipient, or None for a key that is nobody's recipient. Leaves an existing
        key alone, with a UsageError, unless `force`.
        """


def open_key(uri: str | os.PathLike[str]) -> KeyHandle:
    """Returns the key that `uri` names; a path without a scheme is a file.

    Raises:
        UsageError: an unknown scheme, or an address that its store does not understand.
        KeyStoreError: the key cannot be found, unlocked or used.
        StorageError: a file cannot be read.
    """
    scheme, address = split(uri)
    with calling_store(scheme) as store:
        return store.open(address)


def create_key(
    uri: str | os.PathLike[str], kind: str | None = None, *, force: bool = False
) -> Recipient | None:
    """Makes a key at `uri` and returns its recipient, or None when it is nobody's recipient.

    Raises:
        UsageError: an unknown scheme or kind, or the key exists and `force` is not set.
        KeyStoreError: the store refuses.
        StorageError: a file cannot be written.
    """
    scheme, address = split(uri)
    with calling_store(scheme) as store:
        return store.create(address, kind, force=force)


def schemes() -> tuple[str, ...]:
    """Returns the schemes that are installed, sorted."""
    return tuple(sorted({point.name for point in plugins.every(GROUP)}))


def _store(scheme: str) -> KeyStore:
    points = plugins.find(GROUP, scheme)
    if not points:
        raise UsageError(
            f"unknown key scheme {scheme[:64]!r}",
            hint=f"known schemes: {', '.join(schemes())}; write ./{scheme[:64]}:... for a file of that name",
        )
    if len(points) > 1:
        raise KeyStoreError(f"several packages offer key scheme {scheme!r}", hint="uninstall all but one")
    return _load(points[0])


def _load(point: Plugin) -> KeyStore:
    try:
        return cast(KeyStore, point.load()())
    except (ImportError, AttributeError) as error:
        ours = point.name in EXTRAS
        raise KeyStoreError(
            f"key scheme {point.name!r} cannot be loaded",
            hint=plugins.install_hint(point.name) if ours else "reinstall the package that offers it",
        ) from error


@contextmanager
def calling_store(scheme: str) -> Iterator[KeyStore]:
    """Yields the store; keeps exceptions of foreign adapters, and the secrets in their texts, inside.

    Raises:
        UsageError: an unknown scheme.
        KeyStoreError: the store cannot be loaded, or failed with an error of its own.
    """
    try:
        yield _store(scheme)
    except KeepError:
        raise
    except Exception as error:
        raise KeyStoreError(f"key scheme {scheme!r} failed: {type(error).__name__}") from error
