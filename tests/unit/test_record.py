"""Records: every member is taken with its type, and nothing may be left."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from modelkeep.errors import MalformedError
from modelkeep.record import Record

Taker = Callable[[Record], object]

TAKERS: dict[str, tuple[Taker, object, object]] = {
    "text": (lambda record: record.text("m", longest=3), "abc", "abc"),
    "integer": (lambda record: record.integer("m", lowest=-1, highest=5), 5, 5),
    "boolean": (lambda record: record.boolean("m"), False, False),
    "hexadecimal": (lambda record: record.hexadecimal("m", 2), "0aff", b"\x0a\xff"),
    "base64": (lambda record: record.base64("m", longest=4), "AAECAw==", b"\0\1\2\3"),
    "choice": (lambda record: record.choice("m", {"one": 1}), "one", 1),
    "items": (lambda record: record.items("m", longest=2), [1, "a"], [1, "a"]),
}

WRONG: dict[str, list[object]] = {
    "text": ["abcd", 1, None, True, ["a"], {}],
    "integer": [6, -2, True, False, "1", None, 1.0, [1]],
    "boolean": [0, 1, "true", None],
    "hexadecimal": ["0aff00", "0a", "0AFF", "0aF", "zzzz", "", " 0af", "٠٠٠٠", 10, None],
    "base64": ["AAECAw", "AAECAx==", "AAEC Aw==", "AAECAw==\n", "A", "-_-_", "AAECAwQF", "é===", 1, None],
    "choice": ["two", "", 1, None, "x" * 2000],
    "items": [[1, 2, 3], (1, 2), "ab", {}, None],
}


@pytest.mark.parametrize("kind", TAKERS)
def test_takes_a_member_of_the_right_form(kind: str) -> None:
    take, value, expected = TAKERS[kind]
    with Record({"m": value}, "thing") as record:
        assert "m" in record
        assert take(record) == expected
        assert "m" not in record


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in WRONG for value in WRONG[kind]])
def test_refuses_a_member_of_another_form(kind: str, value: object) -> None:
    with pytest.raises(MalformedError, match="^thing: member 'm' "):
        TAKERS[kind][0](Record({"m": value}, "thing"))


@pytest.mark.parametrize("kind", TAKERS)
def test_refuses_a_missing_member(kind: str) -> None:
    with pytest.raises(MalformedError, match="member 'm' is missing"):
        TAKERS[kind][0](Record({}, "thing"))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_base64_up_to_the_limit(size: int) -> None:
    text = base64.b64encode(bytes(size)).decode()
    assert Record({"m": text}, "thing").base64("m", longest=4) == bytes(size)


def test_nested_records_say_where_they_are() -> None:
    inner = Record({"o": {"m": 1}}, "thing").object("o")
    with pytest.raises(MalformedError, match="^thing: o: member 'm' is not known"):
        inner.finish()


def test_anything_takes_null() -> None:
    with Record({"m": None}, "thing") as record:
        assert record.anything("m") is None


@pytest.mark.parametrize("value", [None, [], "{}", 1])
def test_refuses_what_is_no_object(value: object) -> None:
    with pytest.raises(MalformedError, match="expected a JSON object"):
        Record(value, "thing")


def test_refuses_members_that_nobody_took() -> None:
    with pytest.raises(MalformedError, match="'extra' is not known"), Record({"extra": 1}, "thing"):
        pass


def test_leaves_ext_to_others() -> None:
    with Record({"ext": {"anything": [1]}}, "thing"):
        pass
    with pytest.raises(MalformedError, match="'ext' must be an object"), Record({"ext": 1}, "thing"):
        pass


def test_does_not_hide_the_error_of_the_block() -> None:
    with pytest.raises(KeyError), Record({"extra": 1}, "thing"):
        raise KeyError


def test_does_not_change_what_it_reads() -> None:
    value: dict[str, Any] = {"m": 1}
    Record(value, "thing").integer("m")
    assert value == {"m": 1}


def test_an_integer_is_one_that_every_reader_can_hold() -> None:
    assert Record({"m": 2**53 - 1}, "thing").integer("m") == 2**53 - 1
    with pytest.raises(MalformedError, match="from 0 to 9007199254740991"):
        Record({"m": 2**53}, "thing").integer("m")


def test_a_switch_is_on_or_left_out() -> None:
    with Record({"on": True}, "thing") as record:
        assert record.switch("on") is True
        assert record.switch("off") is False
    with pytest.raises(MalformedError, match="'on' is left out where it is false"):
        Record({"on": False}, "thing").switch("on")
