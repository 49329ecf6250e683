"""Trees of block digests, as both kinds of verity make them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

BLOCK_BYTES = 4096
DIGEST_BYTES = 32

_AT_ONCE = 256 * BLOCK_BYTES


class BlockHash:
    """SHA-256 over a prefix and a block, which is filled up with zeros.

    Args:
        prefix: what comes before every block.
    """

    def __init__(self, prefix: bytes) -> None:
        self._start = hashlib.sha256(prefix)

    def __call__(self, block: bytes | memoryview) -> bytes:
        """Returns the digest of a block (at most 4096 bytes)."""
        digest = self._start.copy()
        digest.update(block)
        if len(block) < BLOCK_BYTES:
            digest.update(bytes(BLOCK_BYTES - len(block)))
        return digest.digest()


def levels(data: BinaryIO, block_hash: BlockHash) -> Iterator[bytes]:
    """Yields the levels of the tree over `data`, the lowest first: digests of blocks, and of blocks of those.

    The last level is one digest; data of one block have no other, and data of none yield nothing.
    """
    level = b"".join(map(block_hash, _blocks(data)))
    while level:
        yield level
        if len(level) == DIGEST_BYTES:
            return
        pieces = range(0, len(level), BLOCK_BYTES)
        level = b"".join(block_hash(level[start : start + BLOCK_BYTES]) for start in pieces)


def _blocks(data: BinaryIO) -> Iterable[memoryview]:
    while piece := data.read(_AT_ONCE):
        view = memoryview(piece)
        for start in range(0, len(view), BLOCK_BYTES):
            yield view[start : start + BLOCK_BYTES]
