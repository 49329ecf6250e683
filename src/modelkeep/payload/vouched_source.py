"""Plaintext that somebody signed: what is sealed is what was checked, whatever happens in between."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from modelkeep.errors import TamperedError
from modelkeep.payload.layout import SEGMENT, plain_range, segment_at, segment_count
from modelkeep.payload.source import OpenSource, Source


class VouchedSource:
    """A source whose SHA-256 is known. It is read twice: to check it, and to seal what was checked."""

    def __init__(self, source: Source, name: str, sha256: bytes) -> None:
        self._source, self._name, self._sha256 = source, name, sha256
        self.size = source.size

    @contextmanager
    def open(self) -> Iterator[OpenSource]:
        """Checks the whole of it; each part that is read then must be the one that was checked.

        Raises:
            TamperedError: it is not what was signed.
            StorageError: it cannot be read.
        """
        with self._source.open() as opened:
            parts = list(self._checked(opened))
            yield _Vouched(opened, self._name, self.size, parts)

    def _checked(self, opened: OpenSource) -> Iterator[bytes]:
        """Yields the digest of each part, that is of what becomes a segment."""
        whole, buffer = hashlib.sha256(), memoryview(bytearray(SEGMENT))
        for index in range(segment_count(self.size)):
            start, end = plain_range(index, self.size)
            part = buffer[: end - start]
            opened.read_into(part, start)
            whole.update(part)
            yield hashlib.sha256(part).digest()
        if not hmac.compare_digest(whole.digest(), self._sha256):
            raise _another(self._name)


class _Vouched:
    def __init__(self, source: OpenSource, name: str, size: int, parts: Sequence[bytes]) -> None:
        self._source, self._name, self._size, self._parts = source, name, size, parts

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fills `view`: a part at once where it is one, as in sealing, and else by way of whole parts."""
        end = offset + len(view)
        for index in range(segment_at(offset), segment_at(max(offset, end - 1)) + 1):
            start, stop = plain_range(index, self._size)
            if (start, stop) == (offset, end):
                self._read_part(index, view)
                return
            part = memoryview(bytearray(stop - start))
            self._read_part(index, part)
            first, last = max(start, offset), min(stop, end)
            view[first - offset : last - offset] = part[first - start : last - start]

    def _read_part(self, index: int, view: memoryview) -> None:
        self._source.read_into(view, plain_range(index, self._size)[0])
        if not hmac.compare_digest(hashlib.sha256(view).digest(), self._parts[index]):
            raise _another(self._name)


def _another(name: str) -> TamperedError:
    return TamperedError(f"{name} is not the file that was signed")
