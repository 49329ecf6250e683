"""The log of what firmware measured while it started, and what PCRs it leads to.

The log itself is not signed: an event counts if the values that it leads to are the quoted ones, and its data
if their digest is the one that was extended. Types of events are covered by nothing, so that nothing here
relies on them but to tell what was extended at all.
Source: TCG PC Client Platform Firmware Profile 1.05, section 10.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from modelkeep.errors import MalformedError

LARGEST_LOG = 2**19
MOST_EVENTS = 8192

_SHA256 = 0x000B
_DIGEST_BYTES = 32
_NO_ACTION = 3
_SIGNATURE = b"Spec ID Event03\0"
_LOCALITY = b"StartupLocality\0"
_MOST_BANKS = 8
_BOOT_PCR = 7
_GLOBAL_VARIABLE = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_VARIABLE = struct.Struct("<16sQQ")


@dataclass(frozen=True, slots=True)
class Event:
    """One measurement.

    Attributes:
        pcr: number of the PCR.
        kind: what the log says it is.
        digest: what was extended into the SHA-256 bank, 32 bytes.
        data: what the log says was measured.
    """

    pcr: int
    kind: int
    digest: bytes
    data: bytes


def parse(log: bytes) -> tuple[Event, ...]:
    """Reads a crypto-agile event log.

    Raises:
        MalformedError: not such a log, or one without SHA-256 digests.
    """
    if len(log) > LARGEST_LOG:
        raise MalformedError(f"event log: larger than {LARGEST_LOG} bytes")
    try:
        return tuple(_events(log))
    except struct.error:
        raise MalformedError("event log: cut off") from None


def replay(events: Sequence[Event]) -> dict[int, bytes]:
    """Returns the PCR values (32 bytes each, SHA-256 bank) that a log leads to, for the PCRs it names."""
    values: dict[int, bytes] = {}
    for event in events:
        if event.kind == _NO_ACTION:
            if event.data.startswith(_LOCALITY) and event.pcr == 0 and 0 not in values:
                values[0] = bytes(_DIGEST_BYTES - 1) + event.data[len(_LOCALITY) :][:1].rjust(1, b"\0")
            continue
        before = values.get(event.pcr, bytes(_DIGEST_BYTES))
        values[event.pcr] = hashlib.sha256(before + event.digest).digest()
    return values


def explained(events: Sequence[Event], values: Mapping[int, bytes]) -> tuple[int, ...]:
    """Returns the PCRs whose quoted `values` (32 bytes each) this log leads to."""
    led_to = replay(events)
    return tuple(index for index, value in sorted(values.items()) if led_to.get(index) == value)


def secure_boot(events: Sequence[Event]) -> bool | None:
    """Returns whether firmware started with Secure Boot, or None where the log does not tell.

    Firmware measures the variable into PCR 7 before anything else, when nobody else has touched that PCR.
    What comes later there, whoever runs on the device may have put there.
    """
    first = next((event for event in events if event.pcr == _BOOT_PCR and event.kind != _NO_ACTION), None)
    if first is None or not hmac.compare_digest(hashlib.sha256(first.data).digest(), first.digest):
        return None
    name, value = _variable(first.data)
    return value == b"\1" if name == "SecureBoot" else None


def _events(log: bytes) -> Iterator[Event]:
    offset, sizes = _header(log)
    count = 0
    while offset < len(log):
        pcr, kind, digests = struct.unpack_from("<III", log, offset)
        if digests > _MOST_BANKS or (count := count + 1) > MOST_EVENTS:
            raise MalformedError("event log: too many digests or events")
        digest, offset = _digest(log, offset + 12, digests, sizes)
        data, offset = _sized(log, offset)
        yield Event(pcr, kind, digest, data)


def _header(log: bytes) -> tuple[int, Mapping[int, int]]:
    """Returns where events begin, and the digest sizes by algorithm."""
    data, offset = _sized(log, 28)
    if not data.startswith(_SIGNATURE):
        raise MalformedError("event log: not of the form that has SHA-256 digests")
    (banks,) = struct.unpack_from("<I", data, 24)
    if banks > _MOST_BANKS:
        raise MalformedError("event log: too many digests")
    sizes = dict(struct.unpack_from("<HH", data, 28 + 4 * bank) for bank in range(banks))
    if sizes.get(_SHA256) != _DIGEST_BYTES:
        raise MalformedError("event log: has no SHA-256 digests")
    return offset, sizes


def _digest(log: bytes, offset: int, count: int, sizes: Mapping[int, int]) -> tuple[bytes, int]:
    """Returns the SHA-256 digest of an event and where its data begin."""
    found = b""
    for _ in range(count):
        (algorithm,) = struct.unpack_from("<H", log, offset)
        if algorithm not in sizes:
            raise MalformedError("event log: a digest that the log did not announce")
        digest = log[offset + 2 : offset + 2 + sizes[algorithm]]
        found = digest if algorithm == _SHA256 else found
        offset += 2 + sizes[algorithm]
    if len(found) != _DIGEST_BYTES:
        raise MalformedError("event log: an event without SHA-256 digest")
    return found, offset


def _sized(log: bytes, offset: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from("<I", log, offset)
    end = offset + 4 + size
    if end > len(log):
        raise MalformedError("event log: cut off")
    return log[offset + 4 : end], end


def _variable(data: bytes) -> tuple[str, bytes]:
    """Returns name and value of a UEFI variable of the global name space; empty for others."""
    if len(data) < _VARIABLE.size:
        return "", b""
    vendor, characters, size = _VARIABLE.unpack_from(data)
    name = data[_VARIABLE.size : _VARIABLE.size + 2 * characters]
    if UUID(bytes_le=vendor) != _GLOBAL_VARIABLE or len(data) != _VARIABLE.size + 2 * characters + size:
        return "", b""
    return name.decode("utf-16-le", "replace"), data[len(data) - size :]
