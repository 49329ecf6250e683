"""Floors: what the same bytes cost at least, by bare calls and without any key, format or check of names.

Every one works on 1 MiB at a time in memory that is used again, on as many threads as there are processors
(one where there is little to do), and takes its digests out of the buffer that it deciphers.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benches.peer import PIECE, Peer, fresh_huge_pages, make_durable, same_content

_TAG = 16
_LEAST_PER_THREAD = 4 * PIECE
_CIPHER = AESGCM(bytes(32))

Digest = Callable[[memoryview], bytes]


def by_blake3(view: memoryview) -> bytes:
    """BLAKE3 on this thread."""
    return blake3(view).digest()


def by_sha256(view: memoryview) -> bytes:
    """SHA-256 on this thread."""
    return hashlib.sha256(view).digest()


class WholeDigest:
    """SHA-256 of a whole file, as signatures of `model_signing` cover it: of one piece after the other."""

    def __init__(self) -> None:
        self._hash, self._next, self._changed = hashlib.sha256(), 0, threading.Condition()

    def take(self, index: int, view: memoryview) -> None:
        """Takes a piece when all before it were taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == index)
            self._hash.update(view)
            self._next += 1
            self._changed.notify_all()


class Floor(Peer):
    """Shares pieces out to threads, each with a buffer of its own."""

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return -(-self.size // PIECE)

    def prepare(self) -> list[Path]:
        return [self.source]

    def run(self) -> None:
        threads = min(len(os.sched_getaffinity(0)), max(1, self.size // _LEAST_PER_THREAD))
        others = [threading.Thread(target=self._work, args=(n, threads)) for n in range(1, threads)]
        for other in others:
            other.start()
        self._work(0, threads)
        for other in others:
            other.join()

    def _work(self, first: int, step: int) -> None:
        buffers = tuple(memoryview(bytearray(PIECE + _TAG)) for _ in range(2))
        for index in range(first, self.count, step):
            self.piece(index, *buffers)

    @abstractmethod
    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        """Does the work for one piece, with two buffers that nobody else uses."""

    def length(self, index: int) -> int:
        """Returns how many bytes a piece has."""
        return min(PIECE, self.size - index * PIECE)

    def check(self) -> None:
        """Pieces of the work have nothing to show."""


class Reading(Floor):
    """Has a file open while it runs."""

    @property
    def file(self) -> Path:
        """What is read."""
        return self.source

    def run(self) -> None:
        self.descriptor, self.whole = os.open(self.file, os.O_RDONLY), WholeDigest()
        super().run()
        os.close(self.descriptor)

    def read(self, view: memoryview, offset: int) -> memoryview:
        """Fills `view` from the file and returns it."""
        if os.preadv(self.descriptor, [view], offset) != len(view):
            raise ValueError("the file is shorter than it was")
        return view


class Open(Reading):
    """Fresh huge pages + `pread` + BLAKE3 + AES-256-GCM."""

    digest: ClassVar[Digest | None] = staticmethod(by_blake3)

    @property
    def file(self) -> Path:
        return self.folder / "model.sealed"

    def prepare(self) -> list[Path]:
        with self.source.open("rb") as source, self.file.open("wb") as file:
            for index in range(self.count):
                file.write(_CIPHER.encrypt(_nonce(index), source.read(PIECE), None))
        return [self.file]

    def run(self) -> None:
        self.memory = fresh_huge_pages(self.size)
        self.view = memoryview(self.memory)
        super().run()

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        length, start = self.length(index), index * PIECE
        sealed = self.read(one[: length + _TAG], index * (PIECE + _TAG))
        if self.digest is not None:
            self.digest(sealed)
        _CIPHER.decrypt_into(_nonce(index), sealed, None, self.view[start : start + length])

    def check(self) -> None:
        same_content(self.view, self.source)


class OpenSha256(Open):
    """Fresh huge pages + `pread` + SHA-256 + AES-256-GCM."""

    digest = staticmethod(by_sha256)


class OpenAlone(Open):
    """Fresh huge pages + `pread` + AES-256-GCM."""

    digest = None


class Seal(Reading):
    """`pread` + AES-256-GCM + digests + `pwrite` + `fsync`: BLAKE3 before and after, SHA-256 of the whole."""

    digest: ClassVar[Digest | None] = staticmethod(by_blake3)
    has_whole: ClassVar[bool] = True

    def run(self) -> None:
        self.target = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        super().run()
        os.close(self.target)
        make_durable(self.output)

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        length = self.length(index)
        plain, sealed = self.read(one[:length], index * PIECE), two[: length + _TAG]
        _CIPHER.encrypt_into(_nonce(index), plain, None, sealed)
        if self.digest is not None:
            self.digest(plain)
            self.digest(sealed)
        if self.has_whole:
            self.whole.take(index, sealed)
        os.pwrite(self.target, sealed, index * (PIECE + _TAG))

    def check(self) -> None:
        if self.output.stat().st_size != self.size + self.count * _TAG:
            raise ValueError("not everything was written")


class SealLeaves(Seal):
    """`pread` + AES-256-GCM + BLAKE3 before and after + `pwrite` + `fsync`."""

    has_whole = False


class SealAlone(SealLeaves):
    """`pread` + AES-256-GCM + `pwrite` + `fsync`."""

    digest = None


class Read(Reading):
    """`pread` into memory that is used again."""

    digest: ClassVar[Digest | None] = None

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        view = self.read(one[: self.length(index)], index * PIECE)
        if self.digest is not None:
            self.digest(view)


class VerifyBlake3(Read):
    """`pread` + BLAKE3."""

    digest = staticmethod(by_blake3)


class VerifySha256(Read):
    """`pread` + SHA-256 of every piece."""

    digest = staticmethod(by_sha256)


class Verify(Reading):
    """`pread` + BLAKE3 + SHA-256 of the whole."""

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        view = self.read(one[: self.length(index)], index * PIECE)
        by_blake3(view)
        self.whole.take(index, view)


class Fault(Floor):
    """Fresh huge pages, of which every one is written to."""

    def run(self) -> None:
        self.memory = fresh_huge_pages(self.size)
        self.view = memoryview(self.memory)
        super().run()

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        start = index * PIECE
        for position in range(start, start + self.length(index), mmap.PAGESIZE):
            self.view[position] = 1


class Cached(Floor):
    """Works on the same piece again and again, which stays in the processor's cache."""

    work: ClassVar[Callable[[memoryview, memoryview], Any]]

    def prepare(self) -> list[Path]:
        return []

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        length = self.length(index)
        type(self).work(one[:length], two[: length + _TAG])


class Cipher(Cached):
    """AES-256-GCM."""

    work = staticmethod(lambda plain, sealed: _CIPHER.encrypt_into(_nonce(0), plain, None, sealed))


class Blake3(Cached):
    """BLAKE3."""

    work = staticmethod(lambda plain, _sealed: by_blake3(plain))


class Sha256(Cached):
    """SHA-256."""

    work = staticmethod(lambda plain, _sealed: by_sha256(plain))


class Write(SealAlone):
    """`pwrite` into a new file + `fsync`."""

    def piece(self, index: int, one: memoryview, two: memoryview) -> None:
        os.pwrite(self.target, one[: self.length(index) + _TAG], index * (PIECE + _TAG))


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")
