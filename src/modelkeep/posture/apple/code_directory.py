"""The code directory: digests of pages and of what belongs to the code.

Source: Apple, xnu, osfmk/kern/cs_blobs.h.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from modelkeep.errors import MalformedError, SignatureError, TamperedError

_MAGIC = 0xFADE0C02
_FIXED = struct.Struct(">9I4BI")
# Versions at which members were added: scatter, team, code limit of 64 bits.
_SCATTER, _TEAM, _LONG_LIMIT = 0x20100, 0x20200, 0x20300
_ADHOC, _RUNTIME, _LINKER = 0x2, 0x10000, 0x20000
_HASHES = {2: ("sha256", 32), 3: ("sha256", 20), 4: ("sha384", 48)}
_CDHASH_BYTES = 20
_MOST_SPECIAL = 16
_LARGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class CodeDirectory:
    """A parsed code directory.

    Attributes:
        encoded: it as it was read.
        identifier: what the code calls itself.
        team: who it says signed it; empty for nobody.
        flags: among them ad hoc, and the hardened runtime.
        algorithm: hash of everything.
        digest_bytes: how much of a digest is kept.
        limit: bytes of code that are covered.
        page: bytes of a page.
        pages: digests of pages.
        special: digests of what belongs to the code, by slot.
    """

    encoded: bytes
    identifier: str
    team: str
    flags: int
    algorithm: str
    digest_bytes: int
    limit: int
    page: int
    pages: tuple[bytes, ...]
    special: Mapping[int, bytes]

    @staticmethod
    def parse(data: bytes) -> CodeDirectory:
        """Reads a code directory.

        Raises:
            MalformedError: not one.
            SignatureError: it uses SHA-1, which vouches for nothing any more.
        """
        try:
            return _parse(data)
        except (struct.error, UnicodeDecodeError):
            raise MalformedError("code directory: cut off, or not in form") from None

    @property
    def is_ad_hoc(self) -> bool:
        """Whether nobody signed it: digests alone, which anybody can make."""
        return bool(self.flags & _ADHOC)

    @property
    def is_hardened(self) -> bool:
        """Whether it asks for the hardened runtime."""
        return bool(self.flags & _RUNTIME)

    @property
    def cdhash(self) -> bytes:
        """What names this code, 20 bytes."""
        return self.digest(self.encoded)[:_CDHASH_BYTES]

    def digest(self, data: bytes | memoryview) -> bytes:
        """Returns the whole digest of some bytes."""
        return hashlib.new(self.algorithm, data).digest()

    def check_code(self, code: memoryview) -> None:
        """Checks every page.

        Raises:
            TamperedError: a page differs, or something is not covered.
        """
        if len(code) != self.limit:
            raise TamperedError(f"the signature covers {self.limit} bytes of code, and there are {len(code)}")
        for place, expected in enumerate(self.pages):
            start = place * self.page
            if not self._is(code[start : start + self.page], expected):
                raise TamperedError(f"page {place} of the code is not the one that was signed")

    def check_part(self, slot: int, data: bytes | None) -> None:
        """Checks what belongs to the code: there if and only if it was signed, and the same.

        Raises:
            TamperedError: missing, added or different.
        """
        expected = self.special.get(slot)
        if data is None and expected is None:
            return
        if data is None or expected is None or not self._is(data, expected):
            raise TamperedError(f"part {slot} of the signature is not the one that was signed")

    def _is(self, data: bytes | memoryview, expected: bytes) -> bool:
        return hmac.compare_digest(self.digest(data)[: self.digest_bytes], expected)


def _parse(data: bytes) -> CodeDirectory:
    fields = _FIXED.unpack_from(data)
    magic, size, version, flags, hashes, identifier, special, pages, limit = fields[:9]
    digest_bytes, kind, _, power, _ = fields[9:]
    if magic != _MAGIC or size != len(data) or special > _MOST_SPECIAL:
        raise MalformedError("code directory: not in form")
    if kind not in _HASHES:
        raise SignatureError("the code is signed over a hash that does not count any more")
    algorithm, expected = _HASHES[kind]
    limit, page = _extent(data, version, limit, power)
    if digest_bytes != expected or power > 24 or pages != -(-limit // page):
        raise MalformedError("code directory: not in form")
    team = struct.unpack_from(">I", data, 48)[0] if version >= _TEAM else 0
    return CodeDirectory(
        *(data, _name(data, identifier), _name(data, team) if team else "", flags, algorithm, digest_bytes),
        *(limit, page, tuple(_digests(data, hashes, pages, digest_bytes))),
        _special(data, hashes, special, digest_bytes),
    )


def _extent(data: bytes, version: int, limit: int, power: int) -> tuple[int, int]:
    """Returns the bytes covered, and those of a page."""
    if version >= _SCATTER and struct.unpack_from(">I", data, 44)[0]:
        raise MalformedError("code directory: covers the code in scattered pieces")
    if version >= _LONG_LIMIT:
        limit = struct.unpack_from(">Q", data, 56)[0] or limit
    # No page size is one page for all.
    return limit, 1 << power if power else max(limit, 1)


def _digests(data: bytes, offset: int, count: int, size: int) -> list[bytes]:
    if offset + count * size > len(data):
        raise MalformedError("code directory: cut off")
    return [data[start : start + size] for start in range(offset, offset + count * size, size)]


def _special(data: bytes, offset: int, count: int, size: int) -> dict[int, bytes]:
    """Returns the digests before the pages', which count backwards; zeros stand for nothing."""
    if offset < count * size:
        raise MalformedError("code directory: not in form")
    digests = _digests(data, offset - count * size, count, size)
    return {slot: digest for slot, digest in enumerate(reversed(digests), 1) if any(digest)}


def _name(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset, offset + _LARGEST_NAME)
    if end < 0:
        raise MalformedError("code directory: a name without end")
    return data[offset:end].decode()
