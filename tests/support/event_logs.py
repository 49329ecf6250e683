"""Event logs as firmware writes them, and as somebody would like them to be."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from uuid import UUID

VARIABLE, SEPARATOR, IPL = 0x80000001, 4, 13
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_SHA256 = 0x000B


def event_log(events: Sequence[bytes]) -> bytes:
    """Returns a log of these events."""
    announced = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, 1)
    announced += struct.pack("<HHB", _SHA256, 32, 0)
    return struct.pack("<II20sI", 0, 3, bytes(20), len(announced)) + announced + b"".join(events)


def event(pcr: int, kind: int, data: bytes, digest: bytes | None = None) -> bytes:
    """Returns an event, by default with the digest of its data."""
    digest = hashlib.sha256(data).digest() if digest is None else digest
    return struct.pack("<IIIH", pcr, kind, 1, _SHA256) + digest + struct.pack("<I", len(data)) + data


def variable(name: str, value: bytes) -> bytes:
    """Returns what firmware measures of a UEFI variable."""
    text = name.encode("utf-16-le")
    return _GLOBAL.bytes_le + struct.pack("<QQ", len(name), len(value)) + text + value


def secure_boot(on: bool) -> bytes:
    """Returns what firmware measures of the switch."""
    return variable("SecureBoot", bytes([on]))


def digests(*data: bytes) -> list[bytes]:
    """Returns what is extended for these data."""
    return [hashlib.sha256(each).digest() for each in data]
