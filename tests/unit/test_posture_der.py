"""DER is read strictly: each value has one encoding."""

from __future__ import annotations

import pytest

from modelkeep.errors import MalformedError
from modelkeep.posture import der
from support import der_writer as writer


def test_values_are_read() -> None:
    value = der.decode(
        writer.sequence(
            writer.integer(0),
            writer.integer(255),
            writer.enumerated(2),
            writer.octets(bytes(300)),
            writer.boolean(true=True),
            writer.tagged(704, b"\x05\x00"),
            writer.collection([writer.integer(2), writer.integer(1)]),
        ),
        "value",
    )
    zero, byte, two, octets, true, tagged, numbers = value.sequence()
    assert (zero.integer(), byte.integer(), two.enumerated(), true.boolean()) == (0, 255, 2, True)
    assert octets.octets() == bytes(300)
    number, inner = tagged.tagged()
    assert (number, inner.null()) == (704, True)
    assert [each.integer() for each in numbers.collection()] == [2, 1]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x30", b"\x02\x05\x01", b"\x1f\x01", b"\x1f\x80\x01\x00"),
        b"\x30\x80\x00\x00",  # indefinite length
        b"\x04\x81\x01\x00",  # a longer length than needed
        b"\x04\x82\x00\x80" + bytes(128),
        b"\x04\x85\x00\x00\x00\x00\x01\x00",
        b"\xbf\x1e\x02\x05\x00",  # a long tag for a short number
        b"\xbf\x80\x1f\x02\x05\x00",
        b"\x05\x00\x00",  # something behind the end
    ],
)
def test_what_is_not_der_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        der.decode(data, "value")


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\x80", b"\xff\xff"])
def test_numbers_have_one_form_and_are_not_negative(content: bytes) -> None:
    with pytest.raises(MalformedError, match="shortest form"):
        der.decode(writer.value(b"\x02", content), "value").integer()


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x7f", b"\xff\xff"])
def test_there_is_one_true(content: bytes) -> None:
    with pytest.raises(MalformedError, match="neither true nor false"):
        der.decode(writer.value(b"\x01", content), "value").boolean()


def test_another_type_is_refused() -> None:
    value = der.decode(writer.octets(b"x"), "value")
    for read in (value.integer, value.sequence, value.collection, value.boolean, value.null, value.tagged):
        with pytest.raises(MalformedError):
            read()
    with pytest.raises(MalformedError, match="NULL with content"):
        der.decode(b"\x05\x01\x00", "value").null()
