"""Private key files for signing: PEM, readable by their owner alone, marked with their purpose."""

from __future__ import annotations

import os
import re
from enum import Enum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from modelkeep import storage
from modelkeep.errors import KeyStoreError, UsageError
from modelkeep.private_file import read_private

_MARK = b"modelkeep purpose: "
_PEM_BEGIN = re.compile(rb"-----BEGIN ")


class Purpose(Enum):
    """What a signing key is for; a key for one purpose refuses the other.

    Written as a line of text in front of the PEM block, where other tools skip it. The mark
    guards against mistakes; whoever edits the file can remove it.
    """

    BUNDLE = "bundle"
    PLAIN = "plain"

    @property
    def mark(self) -> bytes:
        """The line that stands before the PEM block."""
        return _MARK + self.value.encode() + b"\n"


def load(path: str | os.PathLike[str], passphrase: bytes | None, purpose: Purpose) -> PrivateKeyTypes:
    """Returns the private key of a PEM file (PKCS #8 or SEC 1) that may be used for `purpose`.

    Raises:
        StorageError: cannot be read.
        KeyStoreError: is open to other users, or does not unlock.
        UsageError: marked for another purpose.
    """
    name = os.fspath(path)
    with read_private(name) as content:
        _check_purpose(name, content, purpose)
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


def _check_purpose(path: str, content: memoryview, purpose: Purpose) -> None:
    # Only what stands before the key is copied out of the buffer that is wiped.
    begin = _PEM_BEGIN.search(content)
    front = bytes(content[: begin.start()]) if begin else b""
    for line in front.splitlines():
        if line.startswith(_MARK) and line != purpose.mark.rstrip():
            marked = line.removeprefix(_MARK)[:32].decode("ascii", "backslashreplace")
            raise UsageError(
                f"{path}: this key is for purpose {marked!r}, not {purpose.value!r}",
                hint="use a key of its own for each purpose",
            )


def _parse(name: str, data: memoryview, passphrase: bytes | None) -> PrivateKeyTypes:
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
