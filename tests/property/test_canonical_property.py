"""Canonical JSON against an independent implementation of RFC 8785."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.canonical import LARGEST_INTEGER, decode, encode
from modelkeep.errors import MalformedError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)


@given(values)
def test_encodes_like_another_implementation(value: Any) -> None:
    assert encode(value) == rfc8785.dumps(value)


@given(values)
def test_decoding_undoes_encoding(value: Any) -> None:
    assert decode(encode(value), "test") == value


@given(values)
def test_another_layout_of_the_same_value_is_refused(value: Any) -> None:
    text = json.dumps(value, indent=1).encode()
    if text != encode(value):
        with contextlib.suppress(MalformedError):
            decode(text, "test")
            raise AssertionError(text)


@given(
    st.binary(max_size=40) | values.map(encode).flatmap(lambda data: st.permutations(list(data)).map(bytes))
)
def test_any_bytes_are_either_canonical_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert encode(decode(data, "test")) == data
