"""Wrapping under a shared secret, for fleet devices and passphrases.

RFC 3394 has no associated data, so the key-encryption key itself depends on the header:
KEK = HKDF-Expand-SHA256(shared secret, info = ``modelkeep/v1/grant`` | SHA-256(header bytes), 32),
wrapped = AES-256 key wrap (RFC 3394) of the 104-byte grant secret: 112 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from modelkeep.errors import TamperedError
from modelkeep.memory import wiped


def wrap(shared: bytearray | memoryview, secret: bytearray, context: bytes) -> bytes:
    """Returns `secret` wrapped under the key that `shared` (32 bytes) and `context` give."""
    with _encryption_key(shared, context) as key:
        return aes_key_wrap(key, secret)


def unwrap(shared: bytearray | memoryview, wrapped: bytes, context: bytes) -> bytearray:
    """Returns the unwrapped secret; wiping it is the caller's.

    Raises:
        TamperedError: it does not unwrap.
    """
    with _encryption_key(shared, context) as key:
        try:
            return bytearray(aes_key_unwrap(key, wrapped))
        except InvalidUnwrap:
            raise damaged() from None


@contextmanager
def _encryption_key(shared: bytearray | memoryview, context: bytes) -> Iterator[bytearray]:
    with wiped(32) as key:
        HKDFExpand(hashes.SHA256(), 32, context).derive_into(shared, key)
        yield key


def damaged() -> TamperedError:
    """Returns the error for a grant that was made for a key but does not open under it."""
    return TamperedError("the grant is damaged", hint="fetch the grant again, or ask for a new one")
