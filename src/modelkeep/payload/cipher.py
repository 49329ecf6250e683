"""The cipher of one stream: derives its key, encrypts and decrypts single segments in place.

Source: Tink wire format, "AES-GCM-HKDF Streaming AEAD"; spec/bundle-v1.md, "Payload".
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelkeep.errors import TamperedError
from modelkeep.manifest import Suite
from modelkeep.memory import wipe, wiped
from modelkeep.memory.randomness import random_bytes
from modelkeep.payload.layout import HEADER, TAG

_LABEL = b"modelkeep/v1/stream"
_INSTALLED_LABEL = b"modelkeep/v1/installed"
_SALT = 32
_NONCE = struct.Struct(">7sIB")
_AEADS: dict[Suite, type[AESGCM] | type[ChaCha20Poly1305]] = {
    Suite.AES256_GCM_HKDF_1MB: AESGCM,
    Suite.CHACHA20_POLY1305_HKDF_1MB: ChaCha20Poly1305,
}


def associated_data(suite: Suite, bundle: bytes, index: int) -> bytes:
    """Returns the stream's associated data: which suite, bundle and member it belongs to.

    The role byte keeps the inner manifest and model files apart.
    """
    return _LABEL + _place(suite, bundle, index)


def installed_associated_data(suite: Suite, installation: bytes, index: int) -> bytes:
    """Returns the associated data of an installed stream: which suite, installation and member.

    Source: spec/install-v1.md, "Payload".
    """
    return _INSTALLED_LABEL + _place(suite, installation, index)


def _place(suite: Suite, owner: bytes, index: int) -> bytes:
    role = 0 if index == 0 else 1
    return struct.pack(">B16sBI", suite.value, owner, role, index)


def new_header() -> bytes:
    """Returns a fresh stream header: its own length, 32 random bytes of salt, 7 of nonce prefix."""
    return bytes([HEADER]) + random_bytes(HEADER - 1)


class StreamCipher:
    """Encrypts or decrypts the segments of one stream; safe to use from several threads."""

    def __init__(self, suite: Suite, key: memoryview, associated: bytes, header: bytes) -> None:
        """Derives the stream key.

        Args:
            suite: which AEAD.
            key: 32 bytes of key material common to the streams of a bundle.
            associated: from `associated_data`.
            header: the 40 header bytes of the stream.

        Raises:
            TamperedError: the header is not one of this layout.
        """
        if len(header) != HEADER or header[0] != HEADER:
            raise TamperedError("payload: a stream header is damaged")
        self.header = header
        self._prefix = header[1 + _SALT :]
        derivation = HKDF(hashes.SHA256(), 32, salt=header[1 : 1 + _SALT], info=associated)
        with wiped(32) as stream_key:
            derivation.derive_into(key, stream_key)
            self._aead = _AEADS[suite](stream_key)

    def encrypt(self, index: int, last: bool, plain: memoryview, sealed: memoryview) -> None:
        """Encrypts one segment into `sealed`, which is 16 bytes longer than `plain`."""
        self._aead.encrypt_into(self._nonce(index, last), plain, None, sealed)

    def decrypt(self, index: int, last: bool, sealed: memoryview, plain: memoryview) -> None:
        """Decrypts one segment into `plain`, which is 16 bytes shorter than `sealed`.

        Raises:
            TamperedError: wrong key, or the segment is not the one that was sealed here;
                `plain` is wiped.
        """
        try:
            self._aead.decrypt_into(self._nonce(index, last), sealed, None, plain)
        except InvalidTag:
            wipe(plain)
            raise TamperedError(f"payload: segment {index} does not decrypt") from None

    def _nonce(self, index: int, last: bool) -> bytes:
        return _NONCE.pack(self._prefix, index, last)


def body(index: int, segment: memoryview) -> memoryview:
    """Returns a sealed segment without the stream header that segment 0 carries."""
    return segment[HEADER:] if index == 0 else segment


def sealed_length(index: int, plain_length: int) -> int:
    """Returns the length of segment `index` in the stream, header of segment 0 included."""
    return plain_length + TAG + (HEADER if index == 0 else 0)
