"""Where segments lie: sizes and ranges around every boundary."""

from __future__ import annotations

import pytest

from modelkeep.payload.layout import SEGMENT, plain_range, sealed_range, sealed_size, segment_count

FIRST, LATER = SEGMENT - 56, SEGMENT - 16


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (0, 1),
        (1, 1),
        (FIRST - 1, 1),
        (FIRST, 1),
        (FIRST + 1, 2),
        (FIRST + LATER, 2),
        (FIRST + LATER + 1, 3),
        (FIRST + 9 * LATER, 10),
    ],
)
def test_ranges_cover_plaintext_and_stream_without_gaps(size: int, count: int) -> None:
    assert segment_count(size) == count
    plain = [plain_range(index, size) for index in range(count)]
    sealed = [sealed_range(index, size) for index in range(count)]
    for ranges, end in ((plain, size), (sealed, sealed_size(size))):
        assert [start for start, _end in ranges] == [0, *(end for _start, end in ranges[:-1])]
        assert ranges[-1][1] == end
    lengths = [end - start for start, end in plain]
    overheads = [b - a - length for (a, b), length in zip(sealed, lengths, strict=True)]
    assert overheads == [56, *[16] * (count - 1)]
    assert all(end - start == SEGMENT for start, end in sealed[:-1])
