"""Writes DER, right or wrong, for readers to be tried with."""

from __future__ import annotations

from collections.abc import Sequence


def value(lead: bytes, content: bytes) -> bytes:
    """Returns a value under an identifier, with the shortest length."""
    if len(content) < 128:
        return lead + bytes([len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return lead + bytes([0x80 | size]) + len(content).to_bytes(size) + content


def integer(number: int, lead: bytes = b"\x02") -> bytes:
    """Returns an INTEGER, or with another identifier an ENUMERATED."""
    return value(lead, number.to_bytes(number.bit_length() // 8 + 1))


def enumerated(number: int) -> bytes:
    """Returns an ENUMERATED."""
    return integer(number, b"\x0a")


def octets(content: bytes) -> bytes:
    """Returns an OCTET STRING."""
    return value(b"\x04", content)


def boolean(*, true: bool) -> bytes:
    """Returns a BOOLEAN."""
    return value(b"\x01", b"\xff" if true else b"\x00")


def sequence(*parts: bytes) -> bytes:
    """Returns a SEQUENCE."""
    return value(b"\x30", b"".join(parts))


def collection(parts: Sequence[bytes]) -> bytes:
    """Returns a SET OF, in the order that is given."""
    return value(b"\x31", b"".join(parts))


def tagged(number: int, inner: bytes) -> bytes:
    """Returns a value under an explicit context-specific tag."""
    if number < 31:
        return value(bytes([0xA0 | number]), inner)
    high = bytes([0x80 | number >> 7]) if number > 127 else b""
    return value(b"\xbf" + high + bytes([number & 0x7F]), inner)
