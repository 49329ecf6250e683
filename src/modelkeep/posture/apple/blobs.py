"""The parts of an embedded signature (SuperBlob). Source: Apple, xnu, osfmk/kern/cs_blobs.h."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from modelkeep.errors import MalformedError

_SUPERBLOB = 0xFADE0CC0
_MOST_PARTS = 32
_HEAD = struct.Struct(">III")


class Slot(IntEnum):
    """What a part is."""

    CODE_DIRECTORY = 0
    INFO = 1
    REQUIREMENTS = 2
    RESOURCES = 3
    APPLICATION = 4
    ENTITLEMENTS = 5
    DER_ENTITLEMENTS = 7
    ALTERNATE = 0x1000
    LAST_ALTERNATE = 0x1004
    CMS = 0x10000


def parts_of(signature: bytes) -> Mapping[int, bytes]:
    """Returns the parts of a signature by slot, each with its own header.

    Raises:
        MalformedError: not a signature, or a slot twice.
    """
    try:
        magic, size, count = _HEAD.unpack_from(signature)
        if magic != _SUPERBLOB or size > len(signature) or count > _MOST_PARTS:
            raise MalformedError("code signature: not one that is embedded in code")
        index = [struct.unpack_from(">II", signature, _HEAD.size + 8 * place) for place in range(count)]
        parts = {slot: _part(signature[:size], offset) for slot, offset in index}
    except struct.error:
        raise MalformedError("code signature: cut off") from None
    if len(parts) != count:
        raise MalformedError("code signature: a part comes twice")
    return parts


def content_of(part: bytes) -> bytes:
    """Returns a part without its header."""
    return part[8:]


def _part(signature: bytes, offset: int) -> bytes:
    _, size = struct.unpack_from(">II", signature, offset)
    if size < 8 or offset + size > len(signature):
        raise MalformedError("code signature: a part is cut off")
    return signature[offset : offset + size]
