"""Migration: read model files that were encrypted the way most tutorials show.

That is AES in GCM, mostly as `nonce[12] | ciphertext | tag[16]`, with a key of 32 bytes and without
associated data. Other orders, nonces of 16 bytes, shorter keys and associated data are around as well: each
order is tried, and the tag says which one it is. The key is a file, or HKDF-SHA256 of a fleet master with the
device id as salt.
Source: RFC 5116 section 5.2, RFC 5869.
"""

from __future__ import annotations

import binascii
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import MalformedError, TamperedError, UsageError
from modelkeep.memory import Pages, wipe
from modelkeep.model import Model, from_memory
from modelkeep.payload.source import MemorySource, read_fully
from modelkeep.storage import opened, read_small

_TAG = 16
_KEY = 32
_KEYS = (32, 24, 16)
# Version 0x80 and the first bytes of a time, in base64.
_FERNET = b"gAAAA"
_PIECE = 2**20
DEFAULT_INFO = b"model-encryption"


def read_key(path: str | os.PathLike[str]) -> bytearray:
    """Returns the 32, 24 or 16 bytes of a key file, which holds them raw, as hexadecimal or as base64.

    Raises:
        StorageError: cannot be read.
        MalformedError: holds something else.
    """
    data = read_small(path, 4096, "a key")
    for decode in (bytes, _from_hexadecimal, _from_base64):
        try:
            key = bytearray(decode(data))
        except binascii.Error:
            continue
        if len(key) in _KEYS:
            return key
    raise MalformedError(f"{os.fspath(path)}: not a key of 32, 24 or 16 bytes, raw, hexadecimal or base64")


def _from_hexadecimal(text: bytes) -> bytes:
    return binascii.unhexlify(text.strip())


def _from_base64(text: bytes) -> bytes:
    # Of both alphabets: tokens and keys for the web have the other one.
    return binascii.a2b_base64(text.strip().translate(_STANDARD), strict_mode=True)


_STANDARD = bytes.maketrans(b"-_", b"+/")


def derive_key(master: bytearray, device_id: str, info: bytes = DEFAULT_INFO) -> bytearray:
    """Returns the device key of the common recipe: the device id is the salt.

    Kept for reading old files only: as a salt, `dev-1` and `dev-1\\0` are the same device.

    Raises:
        UsageError: the device id is not text.
    """
    try:
        salt = device_id.encode()
    except UnicodeEncodeError:
        raise UsageError("the device id holds bytes that are not UTF-8") from None
    key = bytearray(_KEY)
    HKDF(hashes.SHA256(), _KEY, salt=salt, info=info).derive_into(master, key)
    return key


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where nonce, ciphertext and tag lie in a file.

    Attributes:
        nonce: length of the nonce, with which the file begins.
        tag_first: whether the tag follows the nonce, and not the ciphertext.
    """

    nonce: int
    tag_first: bool

    @property
    def body(self) -> int:
        """Offset of the ciphertext."""
        return self.nonce + (_TAG if self.tag_first else 0)

    def tag(self, size: int) -> int:
        """Returns the offset of the tag, behind or before `size` bytes of ciphertext."""
        return self.nonce if self.tag_first else self.nonce + size


# As common as they are.
_LAYOUTS = tuple(_Layout(nonce, tag_first) for nonce in (12, 16) for tag_first in (False, True))


@contextmanager
def legacy_model(
    path: str | os.PathLike[str],
    key: bytearray,
    name: str,
    *,
    associated: bytes = b"",
    format: str | None = None,
    sha256: bytes | None = None,
) -> Iterator[Model]:
    """Decrypts an old file in memory and gives the model inside, to be sealed within the block.

    Args:
        path: a file of nonce, ciphertext and tag, in any of the usual orders.
        key: 32, 24 or 16 bytes; the caller wipes them.
        name: file name of the model inside, for example ``model.onnx``.
        associated: the associated data with which it was encrypted.
        format: name of the model's format, where its content does not tell.
        sha256: digest of the model inside, as its publisher knows it. Everybody who had the old key, every
            device perhaps, could have made this file; None takes whatever decrypts.

    Raises:
        StorageError: cannot be read.
        MalformedError: too short to be such a file, or one of another kind.
        TamperedError: the key is wrong, the file was changed, associated data are missing, or the model
            inside is another one.
        UsageError: the key has the wrong length.
    """
    if len(key) not in _KEYS:
        raise UsageError(f"the key has {len(key)} bytes, not 32, 24 or 16")
    path = Path(path)
    with opened(path) as file:
        length = os.fstat(file.fileno()).st_size
        _refuse_others(path, file.fileno(), length)
        with Pages.allocate(length - _LAYOUTS[0].nonce - _TAG) as pages:
            view = _decrypted(file.fileno(), length, key, associated, pages.view)
            _check_content(path, view, sha256)
            yield from_memory(name, MemorySource(view), view, format=format)


def _check_content(path: Path, view: memoryview, expected: bytes | None) -> None:
    found = hashlib.sha256(view).digest()
    if expected not in (None, found):
        raise TamperedError(
            f"{path}: holds another model, with SHA-256 {found.hex()}",
            hint="whoever had the old key could have made it: take the file from your own archive",
        )


def _refuse_others(path: Path, descriptor: int, length: int) -> None:
    head = bytearray(min(length, len(_FERNET)))
    read_fully(descriptor, memoryview(head), 0)
    if head == _FERNET:
        raise MalformedError(
            f"{path}: a Fernet token, which is AES in CBC",
            hint="decrypt it with cryptography.fernet.Fernet, and seal what comes out of it",
        )
    if length < _LAYOUTS[0].nonce + _TAG:
        raise MalformedError(f"{path}: too short for nonce, ciphertext and tag")


def _decrypted(
    descriptor: int, length: int, key: bytearray, associated: bytes, room: memoryview
) -> memoryview:
    """Decrypts by the first order whose tag is right; returns the part of `room` that it filled."""
    for layout in _LAYOUTS:
        size = length - layout.nonce - _TAG
        if size < 0:
            continue
        destination = room[:size]
        if _decrypts(descriptor, layout, key, associated, destination):
            return destination
        wipe(destination)
    raise TamperedError(
        "the file does not decrypt: wrong key, associated data, or it was changed",
        hint="tried nonce | ciphertext | tag and nonce | tag | ciphertext, with nonces of 12 and 16 bytes; "
        "check key, device id and info, and whether it was made with associated data (--old-associated)",
    )


def _decrypts(
    descriptor: int, layout: _Layout, key: bytearray, associated: bytes, destination: memoryview
) -> bool:
    nonce, tag = bytearray(layout.nonce), bytearray(_TAG)
    read_fully(descriptor, memoryview(nonce), 0)
    read_fully(descriptor, memoryview(tag), layout.tag(len(destination)))
    decryptor = Cipher(algorithms.AES(key), modes.GCM(bytes(nonce), bytes(tag))).decryptor()
    decryptor.authenticate_additional_data(associated)
    scratch = memoryview(bytearray(_PIECE))
    try:
        # In pieces: one call takes at most 2 GiB.
        for start in range(0, len(destination), _PIECE):
            piece = scratch[: min(_PIECE, len(destination) - start)]
            read_fully(descriptor, piece, layout.body + start)
            decryptor.update_into(piece, destination[start : start + len(piece)])
        decryptor.finalize()
    except InvalidTag:
        return False
    return True
