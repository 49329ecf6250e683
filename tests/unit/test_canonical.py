"""Canonical JSON: one encoding per value, and nothing that the formats do not need."""

from __future__ import annotations

from typing import Any

import pytest

from modelkeep.canonical import LARGEST_INTEGER, decode, decode_lenient, encode
from modelkeep.errors import MalformedError


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, b"{}"),
        ([], b"[]"),
        ({"b": 1, "a": [True, False, None]}, b'{"a":[true,false,null],"b":1}'),
        ('\x00\x1f\b\t\n\f\r"\\/\x7f', b'"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\x7f"'),
        ("é€😀", '"é€😀"'.encode()),
        (-LARGEST_INTEGER, b"-9007199254740991"),
        ((1, 2), b"[1,2]"),
    ],
)
def test_encodes_as_rfc_8785_says(value: object, expected: bytes) -> None:
    assert encode(value) == expected
    assert encode(decode(expected, "test")) == expected


def test_sorts_keys_by_utf_16_code_units() -> None:
    # As code points U+FB33 comes first; as UTF-16 the surrogate D83D does.
    assert encode({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), b"bytes", {1: 2}, {"a": object()}, "\ud800", {"\udc00": 1}],
)
def test_refuses_to_encode_what_the_formats_do_not_know(value: object) -> None:
    with pytest.raises(MalformedError):
        encode(value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xef\xbb\xbf{}",
        b"{}x",
        b"{}{}",
        b"{} ",
        b" {}",
        b"{}\n",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'"\\u0061"',
        b'"\\/"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\x01"',
        b"'a'",
        b"1.0",
        b"1e3",
        b"1E400",
        b"-0",
        b"01",
        b"+1",
        b"0x1",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b"[1,]",
        b'{"a":1,}',
        b"{} // comment",
        b"\x00",
        "{}".encode("utf-16"),
    ],
)
def test_refuses_to_decode_everything_but_the_one_form(text: bytes) -> None:
    with pytest.raises(MalformedError, match="^test: |^JSON: a string holds a lone surrogate$"):
        decode(text, "test")


def test_decodes_as_deep_as_it_encodes() -> None:
    assert decode(encode(nested(31)), "test") == nested(31)
    for deeper in (32, 33, 500, 200_000):
        with pytest.raises(MalformedError):
            decode(b"[" * deeper + b"0" + b"]" * deeper, "test")
    with pytest.raises(MalformedError, match="deep"):
        encode(nested(32))


def test_a_document_may_be_wide_as_long_as_it_is_not_deep() -> None:
    wide = [{"a": [number]} for number in range(100)]
    assert decode(encode(wide), "test") == decode_lenient(encode(wide), "test") == wide


def test_floats_are_there_for_whoever_asks_for_them() -> None:
    assert decode_lenient(b'{"a":1.5}', "test", floats=True) == {"a": 1.5}


def test_lenient_decoding_takes_any_layout() -> None:
    assert decode_lenient(b' { "b" : [ 1 , 2 ] , "a" : "\\u0061" }\n', "test") == {"b": [1, 2], "a": "a"}


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b"1.5", b"NaN", b"9007199254740992", b"{", b"\xff"])
def test_lenient_decoding_still_refuses_what_has_two_readings(text: bytes) -> None:
    with pytest.raises(MalformedError, match="^test: "):
        decode_lenient(text, "test")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_thirty_one_levels_are_the_deepest_in_either_reading(opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return (opening * levels + "0" + closing * levels).encode()

    for read in (decode, decode_lenient):
        assert read(nested(31), "a test")
        with pytest.raises(MalformedError, match="nested too deep"):
            read(nested(32), "a test")
        with pytest.raises(MalformedError):
            read(nested(100_000), "a test")


def test_nesting_is_counted_in_depth_and_not_in_brackets() -> None:
    wide = [nested(30), [], []]
    assert decode(encode(wide), "test") == wide
    deep: Any = 0
    for _ in range(31):
        deep = {"a": deep, "b": []} if deep else {"a": 1}
    assert decode(encode(deep), "test") == deep
    for too_deep in ([nested(31), [], []], {"a": deep}, [deep]):
        with pytest.raises(MalformedError, match="nested too deep"):
            encode(too_deep)
    for text in (b"[" * 32 + b"]" * 32, b"[[]," * 31 + b"[]" + b"]" * 31):
        with pytest.raises(MalformedError, match="nested too deep"):
            decode(text, "test")


def test_a_long_row_of_digits_is_not_read() -> None:
    with pytest.raises(MalformedError, match="integer beyond"):
        decode(b"1" * 5000, "test")
