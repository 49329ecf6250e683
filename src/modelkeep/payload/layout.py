"""Where segments lie: arithmetic of Tink's streaming AEAD with 1 MiB segments.

Source: Tink wire format, "AES-GCM-HKDF Streaming AEAD"; spec/bundle-v1.md, "Payload".
All lengths and offsets are in bytes.
"""

from __future__ import annotations

SEGMENT = 2**20
HEADER = 40
TAG = 16

_PLAIN_PER_SEGMENT = SEGMENT - TAG


def segment_count(size: int) -> int:
    """Returns how many segments `size` bytes of plaintext make; never zero."""
    return max(1, -(-(size + HEADER) // _PLAIN_PER_SEGMENT))


def sealed_size(size: int) -> int:
    """Returns the length of the stream that holds `size` bytes of plaintext."""
    return size + HEADER + TAG * segment_count(size)


def plain_range(index: int, size: int) -> tuple[int, int]:
    """Returns start and end of segment `index` within `size` bytes of plaintext."""
    start = max(0, index * _PLAIN_PER_SEGMENT - HEADER)
    return start, min(size, (index + 1) * _PLAIN_PER_SEGMENT - HEADER)


def segment_at(position: int) -> int:
    """Returns the number of the segment that holds the plaintext byte at `position`."""
    return (position + HEADER) // _PLAIN_PER_SEGMENT


def sealed_range(index: int, size: int) -> tuple[int, int]:
    """Returns start and end of segment `index` within the stream.

    Segment 0 includes the stream header; every segment includes its tag.
    """
    return index * SEGMENT, min(sealed_size(size), (index + 1) * SEGMENT)
