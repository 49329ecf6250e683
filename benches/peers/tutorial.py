"""The way most tutorials show: read the whole file, one AESGCM call, one key per device."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from benches.cipher import FileCipher, Opening, Sealing
from benches.peer import make_durable

_NONCE = 12


class Tutorial(FileCipher):
    def device_cipher(self) -> AESGCM:
        """Returns the cipher of one device, its key derived from the master key."""
        master = (self.folder / "master.key").read_bytes()
        return AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"device-17").derive(master))

    def seal(self, target: Path) -> None:
        nonce = os.urandom(_NONCE)
        ciphertext = self.device_cipher().encrypt(nonce, self.source.read_bytes(), None)
        target.write_bytes(nonce + ciphertext)
        make_durable(target)

    def open(self, sealed: Path) -> bytes:
        data = sealed.read_bytes()
        return self.device_cipher().decrypt(data[:_NONCE], data[_NONCE:], None)

    def make_keys(self) -> None:
        (self.folder / "master.key").write_bytes(os.urandom(32))


class Open(Opening, Tutorial):
    """Sealed file -> memory."""


class Seal(Sealing, Tutorial):
    """File -> sealed file."""
