"""Private key files for signing: PEM, readable by their owner alone, marked with their purpose."""

from __future__ import annotations

import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from modelkeep import storage
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.file_kind import not_private
from modelkeep.key_purpose import Purpose, check_purpose
from modelkeep.private_file import read_private


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
    return serialization.BestAvailableEncryption(passphrase)


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
        hint = "pass its passphrase" if passphrase is None else "leave the passphrase out"
        raise KeyStoreError(f"{name}: the private key {problem}", hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyStoreError(
            f"{name}: not a PEM private key, or not its passphrase",
            hint="expected PKCS #8 or SEC 1 in PEM form",
        ) from None
