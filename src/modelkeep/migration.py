"""Migration: read model files that were encrypted the way most tutorials show.

The form is `nonce[12] | ciphertext | tag[16]` under AES-256-GCM, without associated data. The
key is a file of 32 bytes, or HKDF-SHA256 of a fleet master with the device id as salt.
Source: RFC 5116 section 5.2, RFC 5869.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import MalformedError, TamperedError, UsageError
from modelkeep.memory import Pages, wipe
from modelkeep.model import Model, from_memory
from modelkeep.payload.source import MemorySource, read_fully
from modelkeep.storage import read_small, words_for

_NONCE = 12
_TAG = 16
_KEY = 32
_PIECE = 2**20
DEFAULT_INFO = b"model-encryption"


def read_key(path: str | os.PathLike[str]) -> bytearray:
    """Returns the 32 bytes of a key file, which holds them raw, as hexadecimal or as base64.

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
        if len(key) == _KEY:
            return key
    raise MalformedError(f"{os.fspath(path)}: not a key of {_KEY} bytes, raw, hexadecimal or base64")


def _from_hexadecimal(text: bytes) -> bytes:
    return binascii.unhexlify(text.strip())


def _from_base64(text: bytes) -> bytes:
    return binascii.a2b_base64(text.strip(), strict_mode=True)


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


@contextmanager
def legacy_model(
    path: str | os.PathLike[str], key: bytearray, name: str, *, format: str | None = None
) -> Iterator[Model]:
    """Decrypts an old file in memory and gives the model inside, to be sealed within the block.

    Args:
        path: a file of the form `nonce | ciphertext | tag`.
        key: 32 bytes; the caller wipes them.
        name: file name of the model inside, for example ``model.onnx``.
        format: name of the model's format, where its content does not tell.

    Raises:
        StorageError: cannot be read.
        MalformedError: too short to be such a file.
        TamperedError: the key is wrong or the file was changed.
        UsageError: the key has the wrong length.
    """
    if len(key) != _KEY:
        raise UsageError(f"the key has {len(key)} bytes, not {_KEY}")
    path = Path(path)
    with words_for(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size - _NONCE - _TAG
        if size < 0:
            raise MalformedError(f"{path}: too short for nonce, ciphertext and tag")
        with Pages.allocate(size) as pages:
            _decrypt(file.fileno(), size, key, pages.view)
            yield from_memory(name, MemorySource(pages.view), pages.view, format=format)


def _decrypt(descriptor: int, size: int, key: bytearray, destination: memoryview) -> None:
    frame = bytearray(_NONCE + _TAG)
    read_fully(descriptor, memoryview(frame)[:_NONCE], 0)
    read_fully(descriptor, memoryview(frame)[_NONCE:], _NONCE + size)
    mode = modes.GCM(bytes(frame[:_NONCE]), bytes(frame[_NONCE:]))
    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
    scratch = memoryview(bytearray(_PIECE))
    try:
        # In pieces: one call takes at most 2 GiB.
        for start in range(0, size, _PIECE):
            piece = scratch[: min(_PIECE, size - start)]
            read_fully(descriptor, piece, _NONCE + start)
            decryptor.update_into(piece, destination[start : start + len(piece)])
        decryptor.finalize()
    except InvalidTag:
        wipe(destination)
        raise TamperedError(
            "the file does not decrypt: wrong key, or it was changed", hint="check key, device id and info"
        ) from None
