"""Private key files for signing: PEM, readable by their owner alone, marked with their purpose."""

from __future__ import annotations

import io
import os
from enum import Enum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from modelkeep.errors import KeyStoreError, UsageError

LARGEST_FILE = 2**16

_MARK = b"modelkeep purpose: "
_PEM_BEGIN = b"-----BEGIN "


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
        KeyStoreError: cannot be read, is open to other users, or does not unlock.
        UsageError: marked for another purpose.
    """
    buffer = bytearray(LARGEST_FILE + 1)
    try:
        length = _read(path, buffer)
        _check_purpose(path, buffer, purpose)
        return _parse(path, memoryview(buffer)[:length], passphrase)
    finally:
        buffer[:] = bytes(len(buffer))


def _read(path: str | os.PathLike[str], buffer: bytearray) -> int:
    try:
        # Unbuffered, so that no second copy of the key stays behind in a read buffer.
        with Path(path).open("rb", buffering=0) as file:
            _check_mode(path, os.fstat(file.fileno()).st_mode)
            length = _fill(file, memoryview(buffer))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise KeyStoreError(
            f"{os.fspath(path)}: {reason}", hint="check the path of the private key"
        ) from error
    if length == len(buffer):
        raise KeyStoreError(f"{os.fspath(path)}: too large for a private key")
    return length


def _fill(file: io.FileIO, view: memoryview) -> int:
    filled = 0
    while count := file.readinto(view[filled:]):
        filled += count
    return filled


def _check_mode(path: str | os.PathLike[str], mode: int) -> None:
    if os.name == "posix" and mode & 0o077:
        name = os.fspath(path)
        raise KeyStoreError(f"{name}: the private key is open to other users", hint=f"chmod 600 {name}")


def _check_purpose(path: str | os.PathLike[str], buffer: bytearray, purpose: Purpose) -> None:
    front = bytes(buffer[: max(buffer.find(_PEM_BEGIN), 0)])
    for line in front.splitlines():
        if line.startswith(_MARK) and line != purpose.mark.rstrip():
            marked = line.removeprefix(_MARK)[:32].decode("ascii", "backslashreplace")
            raise UsageError(
                f"{os.fspath(path)}: this key is for purpose {marked!r}, not {purpose.value!r}",
                hint="use a key of its own for each purpose",
            )


def _parse(path: str | os.PathLike[str], data: memoryview, passphrase: bytes | None) -> PrivateKeyTypes:
    name = os.fspath(path)
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
