"""Key files: PKCS #8 in PEM, readable by their owner alone, encrypted or not.

The device id is the file's stem where that is a legal one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from modelkeep.errors import KeyStoreError
from modelkeep.grants.hpke import HpkeHandle, HpkeRecipient
from modelkeep.grants.secret import device_id_of
from modelkeep.key_address import parse_address
from modelkeep.key_purpose import Purpose, check_purpose, is_marked
from modelkeep.keys import software_key
from modelkeep.keys.management import Protection, StoreReport
from modelkeep.memory import wipe, wiped
from modelkeep.passphrase_source import FILE_OPTIONS, of_file
from modelkeep.private_file import LARGEST_KEY_FILE, check_private, read_private
from modelkeep.storage import open_regular, words_for, write_at, write_file

_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


def _overwrite(path: str, descriptor: int) -> None:
    with wiped(LARGEST_KEY_FILE) as content:
        size = os.preadv(descriptor, [content], 0)
        if not is_marked(memoryview(content)[:size]):
            raise KeyStoreError(
                f"{path}: not a key that modelkeep made", hint="remove it yourself if that is what you mean"
            )
    write_at(descriptor, memoryview(bytes(size)), 0)
    os.fsync(descriptor)


def _refuse_link(path: str) -> None:
    # Its target would be wiped, and stay under a name that nobody said.
    if Path(path).is_symlink():
        raise KeyStoreError(
            f"{path}: is a link to the key", hint=f"delete the key itself: file:{Path(path).resolve()}"
        )


class FileStore:
    """Key store for ``file:PATH``, with ``?passphrase-env=NAME`` or ``?passphrase-file=PATH``."""

    def open(self, address: str) -> HpkeHandle:
        """Returns the key in a file.

        Raises:
            UsageError: the address is not of this form.
            StorageError: the file cannot be read.
            KeyStoreError: the file is not private, not a key for models, or does not unlock.
        """
        path, passphrase = of_file(address)
        with passphrase or nullcontext(), read_private(path) as content:
            check_purpose(path, content, Purpose.OPEN)
            key = software_key.from_pem(content, path, passphrase)
        return HpkeHandle(key, device_id_of(path))

    def create(self, address: str, kind: str | None = None, *, force: bool = False) -> HpkeRecipient:
        """Writes a new key of `kind` (``p256`` unless given) and returns its recipient.

        With a passphrase, the file is encrypted under it (PBES2 with scrypt and AES-256), in a form
        that OpenSSL reads too.

        Raises:
            UsageError: an unknown kind, or the file exists.
            StorageError: cannot be written.
            KeyStoreError: there is no usable passphrase where the address says.
        """
        keys = software_key.generate(kind)
        path, passphrase = of_file(address)
        with passphrase or nullcontext():
            pem = software_key.to_pem(keys, passphrase, front=Purpose.OPEN.mark)
        try:
            write_file(path, pem, force=force, mode=0o600)
        finally:
            wipe(pem)
        key = software_key.combined(list(keys), path)
        return HpkeHandle(key, device_id_of(path)).recipient()

    def delete(self, address: str) -> None:
        """Overwrites and removes a key file; what the disk itself remembers is out of reach.

        Raises:
            UsageError: the address is not of this form.
            StorageError: cannot be read or removed.
            KeyStoreError: a link, not a private file, or not a key that was made here.
        """
        path = parse_address(address, FILE_OPTIONS).path
        _refuse_link(path)
        with words_for(path):
            # One descriptor: what was looked at is what is overwritten.
            descriptor = open_regular(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                check_private(path, descriptor)
                _overwrite(path, descriptor)
            finally:
                os.close(descriptor)
            Path(path).unlink()

    def list(self, address: str) -> Iterator[str]:
        """Yields the private keys in a folder: files that end in ``.pem`` and hold one that opens models."""
        for path in Path(address or ".").glob("*.pem"):
            try:
                with read_private(str(path)) as content:
                    if _ENCRYPTED not in bytes(content):
                        software_key.from_pem(content, str(path))
            except KeyStoreError:
                continue
            yield str(path)

    def describe(self, address: str) -> dict[str, Any]:
        """Returns how a key file is protected.

        Raises:
            UsageError: the address is not of this form.
            StorageError: cannot be read.
            KeyStoreError: not a private file.
        """
        with read_private(parse_address(address, FILE_OPTIONS).path) as content:
            encrypted = _ENCRYPTED in bytes(content)
        protection = Protection.ENCRYPTED if encrypted else Protection.FILE
        return {**protection.described(), "passphrase": "yes" if encrypted else "no"}

    def examine(self) -> StoreReport:
        """Returns that files can always be had, and what is better."""
        advice = "use tpm2: or pkcs11: where this device has one, or give the file a passphrase"
        return StoreReport("file", True, Protection.FILE, "key files, readable by their owner", advice)
