"""The few tar headers that a bundle uses, as functions of name and size.

A reader makes the header it expects and compares bytes, so there is one reading of every
archive. Source: POSIX.1-1988 ustar, POSIX.1-2001 pax for padding, base-256 sizes from GNU;
spec/bundle-v1.md, "Container".
"""

from __future__ import annotations

BLOCK = 512
ALIGNMENT = 4096
END = bytes(2 * BLOCK)

_OWNER = b"0000644\0" + b"0000000\0" + b"0000000\0"  # mode, owner, group
_MODIFIED = b"00000000000\0"
_REST = b"".join(
    (
        bytes(100),  # link name
        b"ustar\00000",
        bytes(32 + 32),  # owner and group names
        b"0000000\0" + b"0000000\0",  # device numbers
        bytes(155 + 12),  # prefix, unused rest of the block
    )
)
# The checksum is counted as spaces.
_REST_SUM = sum(_MODIFIED) + sum(b" " * 8) + sum(_REST)

_LARGEST_OCTAL_SIZE = 8**11 - 1
_PAD_NAME = "pad"


def header(name: str, size: int) -> bytes:
    """Returns the 512-byte header of a regular file."""
    return _header(name, size, b"0")


def round_up(size: int) -> int:
    """Returns `size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def pad_before(position: int) -> bytes:
    """Returns what goes in front of a header at `position` so that its data is aligned to 4096.

    The padding is a pax header that holds nothing but a comment: unpacking the archive with
    any tar leaves no trace of it.
    """
    gap = -(position + BLOCK) % ALIGNMENT
    if gap == 0:
        return b""
    if gap == BLOCK:  # room for the pax header alone, which needs a comment to be valid
        gap += ALIGNMENT
    size = gap - BLOCK
    return _header(_PAD_NAME, size, b"x") + _comment(size)


def _comment(size: int) -> bytes:
    start = f"{size} comment=".encode()
    return start + b" " * (size - len(start) - 1) + b"\n"


def _header(name: str, size: int, kind: bytes) -> bytes:
    front = name.encode().ljust(100, b"\0") + _OWNER + _size(size)
    return front + _MODIFIED + b"%06o\0 " % (sum(front) + _REST_SUM + kind[0]) + kind + _REST


def _size(size: int) -> bytes:
    if size <= _LARGEST_OCTAL_SIZE:
        return b"%011o\0" % size
    return b"\x80" + size.to_bytes(11, "big")


def parse_size(block: bytes) -> int | None:
    """Returns the size field of a header block, or None when it has no number there."""
    field = block[124:136]
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.rstrip(b"\0")
    if not digits or any(digit not in b"01234567" for digit in digits):
        return None
    return int(digits, 8)


def parse_name(block: bytes) -> str | None:
    """Returns the name field of a header block, or None when it is not ASCII."""
    try:
        return block[:100].rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        return None
