"""Event logs: read, replayed, and believed no further than their digests go."""

from __future__ import annotations

import hashlib
import struct

import pytest

from modelkeep.errors import MalformedError
from modelkeep.posture.tpm2 import event_log as reader
from support.event_logs import IPL, SEPARATOR, VARIABLE, event, event_log, secure_boot, variable

ON, OFF = event(7, VARIABLE, secure_boot(on=True)), event(7, VARIABLE, secure_boot(on=False))


def extended(*data: bytes) -> bytes:
    value = bytes(32)
    for each in data:
        value = hashlib.sha256(value + hashlib.sha256(each).digest()).digest()
    return value


def test_a_log_is_replayed() -> None:
    events = reader.parse(event_log([ON, event(7, SEPARATOR, bytes(4)), event(4, IPL, b"loader")]))
    assert reader.replay(events) == {7: extended(secure_boot(on=True), bytes(4)), 4: extended(b"loader")}
    values = {7: extended(secure_boot(on=True), bytes(4)), 4: bytes(32), 0: bytes(32)}
    assert reader.explained(events, values) == (7,)


def test_firmware_that_starts_elsewhere_says_so() -> None:
    data = b"StartupLocality\0\3"
    silent = event(0, 3, data, bytes(32))
    events = reader.parse(event_log([silent, event(0, 8, b"version")]))
    start = bytes(31) + b"\3"
    assert reader.replay(events)[0] == hashlib.sha256(start + hashlib.sha256(b"version").digest()).digest()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([ON], True),
        ([OFF], False),
        ([OFF, ON], False),  # somebody extends a better event afterwards
        ([event(7, 3, secure_boot(on=True)), OFF], False),  # and one that was never extended
        ([event(7, IPL, secure_boot(on=False)), ON], False),  # and calls the first one something else
        ([event(7, VARIABLE, secure_boot(on=True), hashlib.sha256(secure_boot(on=False)).digest())], None),
        ([event(7, VARIABLE, variable("secureboot", b"\1"))], None),
        ([event(7, VARIABLE, secure_boot(on=True) + b"\1")], None),
        ([event(7, VARIABLE, b"\1")], None),
        ([event(4, VARIABLE, secure_boot(on=True))], None),
        ([], None),
    ],
)
def test_secure_boot_is_what_was_measured_first(events: list[bytes], expected: bool | None) -> None:
    assert reader.secure_boot(reader.parse(event_log(events))) is expected


@pytest.mark.parametrize(
    "log",
    [
        *(b"", bytes(40), event_log([])[:-1], event_log([ON])[:-1], event_log([ON]) + b"\0"),
        event_log([]).replace(b"Event03", b"Event02"),
        event_log([]).replace(struct.pack("<HH", 11, 32), struct.pack("<HH", 4, 20)),
        event_log([]).replace(struct.pack("<IHH", 1, 11, 32), struct.pack("<IHH", 9, 11, 32)),
        event_log([struct.pack("<III", 7, 1, 2**31)]),
        event_log([struct.pack("<III", 7, 1, 0) + bytes(4)]),
        event_log([struct.pack("<IIIH", 7, 1, 1, 4) + bytes(24)]),
        bytes(reader.LARGEST_LOG + 1),
    ],
)
def test_what_is_no_log_is_refused(log: bytes) -> None:
    with pytest.raises(MalformedError, match="event log"):
        reader.parse(log)


def test_endless_logs_are_refused() -> None:
    with pytest.raises(MalformedError, match="too many"):
        reader.parse(event_log([event(7, IPL, b"")] * (reader.MOST_EVENTS + 1)))
