"""pyca/cryptography's streaming GCM in pieces of 1 MiB into one buffer: the careful way by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from benches.cipher import FileCipher, Opening, Sealing
from benches.peer import PIECE, make_durable

_NONCE = 12
_TAG = 16


class Chunked(FileCipher):
    @property
    def key(self) -> bytes:
        """The AES-256 key."""
        return (self.folder / "key").read_bytes()

    def seal(self, target: Path) -> None:
        """Writes nonce | ciphertext | tag."""
        nonce = os.urandom(_NONCE)
        encryptor = Cipher(algorithms.AES256(self.key), modes.GCM(nonce)).encryptor()
        piece, sealed = bytearray(PIECE), bytearray(PIECE)
        with self.source.open("rb", buffering=0) as source, target.open("wb", buffering=0) as file:
            file.write(nonce)
            while count := source.readinto(piece):
                encryptor.update_into(memoryview(piece)[:count], sealed)
                file.write(memoryview(sealed)[:count])
            encryptor.finalize()
            file.write(encryptor.tag)
        make_durable(target)

    def open(self, sealed: Path) -> bytearray:
        """Returns the plaintext; as with every streaming GCM, it is written before the tag is checked."""
        size = sealed.stat().st_size - _NONCE - _TAG
        plain = bytearray(size)
        with sealed.open("rb", buffering=0) as file:
            self._decrypt(file, memoryview(plain))
        return plain

    def _decrypt(self, file: BinaryIO, plain: memoryview) -> None:
        decryptor = Cipher(algorithms.AES256(self.key), modes.GCM(file.read(_NONCE))).decryptor()
        piece = memoryview(bytearray(PIECE))
        position = 0
        while position < len(plain):
            count = file.readinto(piece[: len(plain) - position])  # type: ignore[attr-defined]
            decryptor.update_into(piece[:count], plain[position:])
            position += count
        decryptor.finalize_with_tag(file.read(_TAG))

    def make_keys(self) -> None:
        (self.folder / "key").write_bytes(os.urandom(32))


class Open(Opening, Chunked):
    """Sealed file -> memory."""


class Seal(Sealing, Chunked):
    """File -> sealed file."""
