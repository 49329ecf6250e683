"""Mach-O files: their slices, and where each has its signature.

Only what leads to the signature is read; what is signed is every byte before it. A slice whose signature is
not its end is refused, since what comes after is vouched for by nobody.
Source: Apple, mach-o/loader.h and fat.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from modelkeep.errors import MalformedError, SignatureError

LARGEST_SIGNATURE = 2**26
MOST_SLICES = 8

_FAT, _FAT_64 = 0xCAFEBABE, 0xCAFEBABF
_THIN = {0xFEEDFACE: 28, 0xFEEDFACF: 32}
_CODE_SIGNATURE = 0x1D
_LARGEST_COMMANDS = 2**20
_FAT_HEADER = struct.Struct(">II")
_FAT_ENTRY, _FAT_ENTRY_64 = struct.Struct(">5I"), struct.Struct(">IIQQII")


@dataclass(frozen=True, slots=True)
class Slice:
    """Code for one processor.

    Attributes:
        code: everything before the signature.
        signature: the signature's bytes.
    """

    code: memoryview
    signature: bytes


def is_mach_o(data: bytes | memoryview) -> bool:
    """Returns whether a file begins like Mach-O."""
    magic = bytes(data[:4])
    return int.from_bytes(magic, "big") in (_FAT, _FAT_64) or int.from_bytes(magic, "little") in _THIN


def slices_of(data: memoryview) -> tuple[Slice, ...]:
    """Returns the slices of a Mach-O file, one if it is for one processor.

    Raises:
        MalformedError: not Mach-O, or not as a signed file is laid out.
        SignatureError: a slice without signature.
    """
    try:
        return tuple(_slice(part) for part in _parts(data))
    except struct.error:
        raise MalformedError("Mach-O: cut off") from None


def _parts(data: memoryview) -> Iterator[memoryview]:
    if len(data) < _FAT_HEADER.size:
        raise MalformedError("Mach-O: cut off")
    magic, count = _FAT_HEADER.unpack_from(data)
    if magic not in (_FAT, _FAT_64):
        yield data
        return
    if not 1 <= count <= MOST_SLICES:
        raise MalformedError(f"Mach-O: expected 1 to {MOST_SLICES} slices")
    entry = _FAT_ENTRY if magic == _FAT else _FAT_ENTRY_64
    end = _FAT_HEADER.size + count * entry.size
    for place in range(count):
        _, _, offset, size, *_ = entry.unpack_from(data, _FAT_HEADER.size + place * entry.size)
        # One after the other, with nothing but filling between, so that every byte belongs to one slice.
        if offset < end or offset + size > len(data) or any(data[end:offset]):
            raise MalformedError("Mach-O: slices overlap, or something lies between them")
        yield data[offset : offset + size]
        end = offset + size
    if end != len(data):
        raise MalformedError("Mach-O: bytes follow the last slice")


def _slice(part: memoryview) -> Slice:
    (magic,) = struct.unpack_from("<I", part)
    if magic not in _THIN:
        raise MalformedError("Mach-O: not a little-endian file for one processor")
    found = list(_signatures(part, _THIN[magic]))
    if not found:
        raise SignatureError("the code is not signed")
    if len(found) > 1:
        raise MalformedError("Mach-O: more than one signature")
    offset, size = found[0]
    if offset + size != len(part) or size > LARGEST_SIGNATURE:
        raise MalformedError("Mach-O: the signature is not its end")
    return Slice(part[:offset], bytes(part[offset:]))


def _signatures(part: memoryview, header: int) -> Iterator[tuple[int, int]]:
    """Yields offset and size of every signature that the load commands name."""
    count, size = struct.unpack_from("<II", part, 16)
    if size > _LARGEST_COMMANDS or count > size // 8:
        raise MalformedError("Mach-O: too many load commands")
    offset, end = header, header + size
    for _ in range(count):
        command, length = struct.unpack_from("<II", part, offset)
        if length < 8 or offset + length > end:
            raise MalformedError("Mach-O: a load command of an odd size")
        if command == _CODE_SIGNATURE:
            where, extent = struct.unpack_from("<II", part, offset + 8)
            yield where, extent
        offset += length
