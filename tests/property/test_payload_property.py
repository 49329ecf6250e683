"""Streams of any size around the boundaries, and any one changed byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkeep.errors import TamperedError
from modelkeep.manifest import LARGEST_MEMBER
from modelkeep.payload.layout import (
    SEGMENT,
    plain_range,
    sealed_range,
    sealed_size,
    segment_count,
)
from support.streams import open_stream, seal_stream

SMALL, _DIGESTS = seal_stream(b"a small model" * 10)


@given(st.integers(0, LARGEST_MEMBER), st.data())
def test_neighbouring_segments_meet(size: int, data: st.DataObject) -> None:
    count = segment_count(size)
    assert (count - 1) * SEGMENT < sealed_size(size) <= count * SEGMENT
    index = data.draw(st.integers(0, count - 1))
    assert plain_range(index, size)[1] == (plain_range(index + 1, size)[0] if index + 1 < count else size)
    start, end = sealed_range(index, size)
    assert end == ((index + 1) * SEGMENT if index + 1 < count else sealed_size(size))
    assert end - start >= 16


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2), st.integers(-60, 60), st.integers(0, 255))
def test_opens_to_what_was_sealed(segments: int, distance: int, filling: int) -> None:
    plain = bytes([filling]) * max(0, segments * SEGMENT + distance)
    sealed, digests = seal_stream(plain)
    with tempfile.NamedTemporaryFile() as file:
        file.write(sealed)
        file.flush()
        assert open_stream(Path(file.name), len(plain), digests.leaves) == plain


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position: int, change: int) -> None:
    forged = bytearray(SMALL)
    forged[position] ^= change
    with tempfile.NamedTemporaryFile() as file:
        file.write(forged)
        file.flush()
        with pytest.raises(TamperedError):
            open_stream(Path(file.name), 130, _DIGESTS.leaves)
