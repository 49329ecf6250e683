"""The arithmetic behind AES-GCM tags: what whoever holds a key needs to bend them.

Elements of GF(2^128) are integers whose most significant bit is the coefficient of x^0.
Source: NIST SP 800-38D sections 6.3 to 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 16
_REDUCTION = 0xE1 << 120
_ONE = 1 << 127


def multiply(x: int, y: int) -> int:
    """Returns the product of two elements."""
    product = 0
    for bit in range(127, -1, -1):
        if y >> bit & 1:
            product ^= x
        x = x >> 1 ^ (_REDUCTION if x & 1 else 0)
    return product


def power(x: int, exponent: int) -> int:
    """Returns `x` multiplied with itself `exponent` times."""
    result = _ONE
    while exponent:
        if exponent & 1:
            result = multiply(result, x)
        x, exponent = multiply(x, x), exponent >> 1
    return result


def inverse(x: int) -> int:
    """Returns the element that gives one when multiplied with `x`, which is not zero."""
    return power(x, 2**128 - 2)


def to_blocks(data: bytes) -> list[int]:
    """Returns `data`, a whole number of blocks, as elements."""
    return [int.from_bytes(data[start : start + BLOCK], "big") for start in range(0, len(data), BLOCK)]


def to_bytes(blocks: Sequence[int]) -> bytes:
    """Returns elements as the blocks that they stand for."""
    return b"".join(block.to_bytes(BLOCK, "big") for block in blocks)


@dataclass(frozen=True)
class GcmKey:
    """AES-GCM under one key and one nonce of 12 bytes, without associated data."""

    key: bytes
    nonce: bytes

    def crypt(self, data: bytes, first_block: int = 0) -> bytes:
        """Encrypts or decrypts `data`, which begins at block `first_block` of the message."""
        counter = (first_block + 2).to_bytes(4, "big")
        cipher = Cipher(algorithms.AES(self.key), modes.CTR(self.nonce + counter)).encryptor()
        return cipher.update(data)

    def tag(self, ciphertext: Sequence[int]) -> int:
        """Returns the tag over whole blocks of ciphertext."""
        digest = 0
        for block in (*ciphertext, len(ciphertext) * 128):
            digest = multiply(digest ^ block, self.hash_key)
        return digest ^ self._block(self.nonce + b"\0\0\0\1")

    def weight(self, position: int, count: int) -> int:
        """Returns what block `position` of `count` is multiplied with on its way into the tag."""
        return power(self.hash_key, count - position + 1)

    @property
    def hash_key(self) -> int:
        """The encryption of the zero block."""
        return self._block(bytes(BLOCK))

    def _block(self, data: bytes) -> int:
        # One block of ECB is the bare AES function, which GHASH is defined by.
        encryptor = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        return int.from_bytes(encryptor.update(data), "big")


def bend_to_tag(key: GcmKey, ciphertext: Sequence[int], position: int, tag: int) -> list[int]:
    """Returns `ciphertext` with block `position` changed so that its tag is `tag`."""
    blocks = list(ciphertext)
    difference = key.tag(blocks) ^ tag
    blocks[position] ^= multiply(difference, inverse(key.weight(position, len(blocks))))
    return blocks


def bend_to_both(one: GcmKey, other: GcmKey, ciphertext: Sequence[int], position: int) -> list[int]:
    """Returns `ciphertext` with block `position` changed so that both keys give one tag."""
    blocks = list(ciphertext)
    difference = one.tag(blocks) ^ other.tag(blocks)
    weights = one.weight(position, len(blocks)) ^ other.weight(position, len(blocks))
    blocks[position] ^= multiply(difference, inverse(weights))
    return blocks
