"""The fs-verity digest of a file, as the kernel measures it.

Source: Linux, Documentation/filesystems/fsverity.
"""

from __future__ import annotations

import fcntl
import hashlib
import struct
from typing import BinaryIO

from modelkeep.verity.hash_tree import BLOCK_BYTES, DIGEST_BYTES, BlockHash, levels

_SHA256 = 1
_HASH_BLOCK = 64
# Version, hash, block size as a power of two, salt's size, reserved, file's size, root hash, salt, reserved.
_DESCRIPTOR = struct.Struct("<BBBBIQ64s32s144x")
_MEASURE = 0xC0046686
_HEAD = struct.Struct("<HH")


def digest(data: BinaryIO, size: int, salt: bytes = b"") -> bytes:
    """Returns the digest (32 bytes, SHA-256, blocks of 4096 bytes) that ``fsverity digest`` prints.

    Args:
        data: the file, from its beginning.
        size: its size in bytes.
        salt: at most 32 bytes.
    """
    *_, root = (bytes(DIGEST_BYTES), *levels(data, BlockHash(salt + bytes(-len(salt) % _HASH_BLOCK))))
    power = BLOCK_BYTES.bit_length() - 1
    return hashlib.sha256(_DESCRIPTOR.pack(1, _SHA256, power, len(salt), 0, size, root, salt)).digest()


def measured(descriptor: int) -> bytes | None:
    """Returns the digest that the kernel holds a file to, or None if it holds it to none."""
    answer = bytearray(_HEAD.pack(0, DIGEST_BYTES) + bytes(DIGEST_BYTES))
    try:
        fcntl.ioctl(descriptor, _MEASURE, answer)
    except OSError:
        return None  # not switched on for this file, or not in this file system
    algorithm, size = _HEAD.unpack_from(answer)
    return bytes(answer[_HEAD.size :]) if (algorithm, size) == (_SHA256, DIGEST_BYTES) else None
