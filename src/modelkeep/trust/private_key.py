"""Private key files for signing: PEM, readable by their owner alone, marked with their purpose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from modelkeep import passphrase_source, storage
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.file_kind import not_private
from modelkeep.key_purpose import Purpose, check_purpose
from modelkeep.private_file import read_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_HOW_TO_UNLOCK = "write file:PATH?passphrase-file=PATH or ?passphrase-env=NAME; in Python, pass `passphrase`"


def load(path: str | os.PathLike[str], passphrase: bytes | None, purpose: Purpose) -> PrivateKeyTypes:
    """Returns the private key of a PEM file (PKCS #8 or SEC 1) that may be used for `purpose`.

    Raises:
        StorageError: cannot be read.
        KeyStoreError: is open to other users, or does not unlock.
        UsageError: marked for another purpose.
    """
    name = os.fspath(path)
    with read_private(name) as content:
        check_purpose(name, content, purpose)
        return _parse(name, content, passphrase)


@contextmanager
def unlocking(address: str, passphrase: bytes | None = None) -> Iterator[tuple[str, bytes | None]]:
    """Gives path and passphrase of a key file for the length of a `with` block.

    Args:
        address: its path, and behind it what unlocks it, as in `passphrase_source.of_file`.
        passphrase: what unlocks it, where the address does not say.

    Raises:
        UsageError: the address is not of this form, or there are two passphrases.
        KeyStoreError, StorageError: there is no usable passphrase at that place.
    """
    path, found = passphrase_source.of_file(address)
    if found is None:
        yield path, passphrase
        return
    with found:
        if passphrase is not None:
            raise UsageError("the key's passphrase is given twice", hint="leave one of them out")
        # Typed as bytes, but any buffer will do, and ours is wiped.
        yield path, cast(bytes, found.view)


def write(
    path: str | os.PathLike[str],
    key: PrivateKeyTypes,
    purpose: Purpose,
    passphrase: bytes | None,
    *,
    force: bool,
) -> None:
    """Writes a private key as PKCS #8 PEM, mode 0600, encrypted where there is a passphrase.

    Raises:
        UsageError: an empty passphrase, or the file exists and `force` is not set.
        StorageError: the file cannot be written.
    """
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _encryption(passphrase)
    )
    storage.write_file(path, purpose.mark + pem, force=force, mode=0o600)


def _encryption(passphrase: bytes | None) -> serialization.KeySerializationEncryption:
    if passphrase is None:
        return serialization.NoEncryption()
    if not passphrase:
        raise UsageError(
            "an empty passphrase protects nothing", hint="leave the passphrase out or choose one"
        )
    return serialization.BestAvailableEncryption(bytes(passphrase))


def _parse(name: str, data: memoryview, passphrase: bytes | None) -> PrivateKeyTypes:
    kind = not_private(data)
    if kind is not None:
        raise KeyStoreError(
            f"{name}: {kind}, not a private key that signs",
            hint="make one with `modelkeep keys create --kind signing FILE`",
        )
    try:
        return serialization.load_pem_private_key(data, passphrase)
    except TypeError:
        problem = "is encrypted" if passphrase is None else "is not encrypted"
        hint = _HOW_TO_UNLOCK if passphrase is None else "leave the passphrase out"
        raise KeyStoreError(f"{name}: the private key {problem}", hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyStoreError(
            f"{name}: not a PEM private key, or not its passphrase",
            hint="expected PKCS #8 or SEC 1 in PEM form",
        ) from None
