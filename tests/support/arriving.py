"""Bundles that arrive, a little at a time, in a stream that cannot go back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from modelkeep.bundle.arriving import ArrivingBundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.trust.bundle_verifier import BundleVerifier


class Arriving(io.BytesIO):
    """A stream that gives little at a time and cannot go back."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0
        return super().read(min(size, 70_001))

    def seekable(self) -> bool:
        return False


def first_payload(bundle: Path) -> int:
    with Bundle(bundle) as opened, opened.open_file("payload/0") as place:
        return place.offset


def payload_of(stream: BinaryIO, verifier: BundleVerifier) -> dict[int, bytes]:
    """Returns every stream as its checked segments give it."""
    found: dict[int, bytes] = {}
    arrival = ArrivingBundle(stream).verify(verifier)
    for member in arrival.members():
        segments = member.segments(member.whole())
        found[member.number] = b"".join(bytes(sealed) for _, sealed in segments)
    arrival.end()
    return found
