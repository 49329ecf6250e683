"""dm-verity of an image: a root hash, and the tree that the kernel reads it by.

Source: Linux, Documentation/admin-guide/device-mapper/verity; cryptsetup's verity superblock, version 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from modelkeep.errors import UsageError
from modelkeep.verity.hash_tree import BLOCK_BYTES, BlockHash, levels

MOST_SALT = 256

# Signature, version, type, UUID, algorithm, data and hash block size, data blocks, salt's size, salt.
_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6x256s")


@dataclass(frozen=True, slots=True)
class VerityTree:
    """What belongs to an image.

    Attributes:
        root_hash: digest of all of it, 32 bytes.
        hash_area: superblock and tree, for a device or file of its own.
    """

    root_hash: bytes
    hash_area: bytes


def check_size(size: int) -> None:
    """Checks that a file can be an image.

    Raises:
        UsageError: it is empty, or not a number of whole blocks.
    """
    if size <= 0 or size % BLOCK_BYTES:
        raise UsageError(f"an image has whole blocks of {BLOCK_BYTES} bytes, and this one has {size} bytes")


def build(data: BinaryIO, size: int, salt: bytes, uuid: UUID) -> VerityTree:
    """Returns what ``veritysetup format`` makes of an image with SHA-256 and blocks of 4096 bytes.

    Args:
        data: the image, from its beginning.
        size: its size in bytes.
        salt: at most 256 bytes.
        uuid: name of the hash area.

    Raises:
        UsageError: not whole blocks, or a salt that is too long.
    """
    check_size(size)
    if len(salt) > MOST_SALT:
        raise UsageError(f"a salt has at most {MOST_SALT} bytes")
    *tree, root = levels(data, BlockHash(salt))
    area = [_superblock(size, salt, uuid), *map(_filled, reversed(tree))]
    return VerityTree(root, b"".join(area))


def _superblock(size: int, salt: bytes, uuid: UUID) -> bytes:
    blocks = size // BLOCK_BYTES
    fields = (b"verity", 1, 1, uuid.bytes, b"sha256", BLOCK_BYTES, BLOCK_BYTES, blocks, len(salt), salt)
    return _filled(_SUPERBLOCK.pack(*fields))


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK_BYTES)
