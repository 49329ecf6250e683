"""Whole streams: encrypt a source into a file, decrypt a file into memory, check digests.

Every pass reads a segment once into a private buffer and does all its work there, so that
what is digested is what is decrypted, whatever happens to the file meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from modelkeep.manifest import LeafAlgorithm
from modelkeep.memory import Pages
from modelkeep.payload.cipher import StreamCipher, body, sealed_length
from modelkeep.payload.layout import HEADER, SEGMENT, plain_range, segment_count
from modelkeep.payload.segments import LEAF, Extent, SignedSegments, WholeSha256
from modelkeep.payload.source import OpenSource, Source
from modelkeep.payload.workers import InTurn, SegmentWork, Workers, thread_count
from modelkeep.storage import write_at

Progress = Callable[[int], None]
ReadSegment = Callable[[int, memoryview], memoryview]


def no_progress(_count: int) -> None:
    """Ignores how many bytes are done."""


class StreamDigests(NamedTuple):
    """What sealing one stream leaves behind for the manifests.

    Attributes:
        leaves: concatenated 32-byte digests of the sealed segments.
        plaintext: digest over the digests of the plaintext segments, 32 bytes.
        sha256: SHA-256 of the whole sealed stream, or None when it was not asked for.
    """

    leaves: bytes
    plaintext: bytes
    sha256: bytes | None


def encrypt(
    source: Source,
    extent: Extent,
    cipher: StreamCipher,
    algorithm: LeafAlgorithm,
    *,
    whole_sha256: bool,
    progress: Progress = no_progress,
) -> StreamDigests:
    """Seals `source` into `extent` in one pass over both.

    Raises:
        StorageError: the source cannot be read or changed meanwhile.
        OSError: the destination cannot be written.
    """
    with source.open() as opened:
        encryption = _Encryption(opened, extent, cipher, algorithm, whole_sha256, progress)
        return encryption.run()


class _Encryption:
    def __init__(
        self,
        source: OpenSource,
        extent: Extent,
        cipher: StreamCipher,
        algorithm: LeafAlgorithm,
        whole_sha256: bool,
        progress: Progress,
    ) -> None:
        self._source, self._extent, self._cipher = source, extent, cipher
        self._digest, self._progress = algorithm.digest, progress
        self._count = segment_count(extent.size)
        # Views: what does not fit its place is an error, and moves nothing.
        self._leaves = memoryview(bytearray(LEAF * self._count))
        self._plaintext = memoryview(bytearray(LEAF * self._count))
        self._whole = hashlib.sha256() if whole_sha256 else None

    def run(self) -> StreamDigests:
        Workers(self._count).run(thread_count(self._extent.size), self._prepare)
        sha256 = None if self._whole is None else self._whole.digest()
        return StreamDigests(bytes(self._leaves), self._digest(bytes(self._plaintext)), sha256)

    @contextmanager
    def _prepare(self) -> Iterator[SegmentWork]:
        sealed = self._extent.scratch()
        with Pages.allocate(min(SEGMENT, self._extent.size)) as plain:
            yield lambda index: self._encrypt(index, plain.view, sealed)

    def _encrypt(self, index: int, plain: memoryview, sealed: memoryview) -> InTurn | None:
        start, end = plain_range(index, self._extent.size)
        plain, sealed = plain[: end - start], sealed[: sealed_length(index, end - start)]
        self._source.read_into(plain, start)
        if index == 0:
            sealed[:HEADER] = self._cipher.header
        self._cipher.encrypt(index, index == self._count - 1, plain, body(index, sealed))
        place = slice(LEAF * index, LEAF * (index + 1))
        self._leaves[place] = self._digest(sealed)
        self._plaintext[place] = self._digest(plain)
        write_at(self._extent.descriptor, sealed, self._extent.offset + index * SEGMENT)
        self._progress(end - start)
        return None if self._whole is None else partial(self._whole.update, sealed)


def decrypt(
    extent: Extent,
    make_cipher: Callable[[bytes], StreamCipher],
    leaves: bytes,
    algorithm: LeafAlgorithm,
    destination: memoryview,
    *,
    progress: Progress = no_progress,
) -> None:
    """Checks and decrypts a whole stream into `destination`, which has room for exactly its plaintext.

    Args:
        extent: where the stream is.
        make_cipher: builds the cipher from the stream's 40 header bytes.
        leaves: the signed leaf digests, 32 bytes per segment.
        algorithm: hash of the leaves.
        destination: writable memory of `extent.size` bytes.
        progress: told the plaintext bytes of each finished segment; called from several threads.

    Raises:
        TamperedError: a segment is not the one that was signed or sealed.
        OSError: the file cannot be read.
    """
    _decrypt(extent, SignedSegments(extent, leaves, algorithm).read, make_cipher, destination, progress)


def decrypt_installed(
    extent: Extent,
    make_cipher: Callable[[bytes], StreamCipher],
    destination: memoryview,
    *,
    progress: Progress = no_progress,
) -> None:
    """Decrypts a stream that nobody but this device could have made, so that no digest is needed.

    Args:
        extent: where the stream is.
        make_cipher: builds the cipher from the stream's 40 header bytes.
        destination: writable memory of `extent.size` bytes.
        progress: told the plaintext bytes of each finished segment; called from several threads.

    Raises:
        TamperedError: a segment does not decrypt.
        OSError: the file cannot be read.
    """
    _decrypt(extent, extent.read_segment, make_cipher, destination, progress)


def check_installed(
    extent: Extent, make_cipher: Callable[[bytes], StreamCipher], *, progress: Progress = no_progress
) -> None:
    """Checks that a stream which this device made decrypts, in 2 MiB of memory per thread.

    The arguments, and what is raised, are those of `decrypt_installed`.
    """
    cipher = make_cipher(bytes(extent.read_segment(0, extent.scratch())[:HEADER]))
    count = segment_count(extent.size)

    @contextmanager
    def prepare() -> Iterator[SegmentWork]:
        scratch = extent.scratch()
        with Pages.allocate(min(SEGMENT, extent.size)) as plain:

            def work(index: int) -> None:
                start, end = plain_range(index, extent.size)
                sealed = body(index, extent.read_segment(index, scratch))
                cipher.decrypt(index, index == count - 1, sealed, plain.view[: end - start])
                progress(end - start)

            yield work

    Workers(count).run(thread_count(extent.size), prepare)


def _decrypt(
    extent: Extent,
    read: ReadSegment,
    make_cipher: Callable[[bytes], StreamCipher],
    destination: memoryview,
    progress: Progress,
) -> None:
    scratch = extent.scratch()
    # The cipher comes out of the first segment, which is read and checked once, like all others.
    first = read(0, scratch)
    cipher = make_cipher(bytes(first[:HEADER]))
    count = segment_count(extent.size)

    def open_segment(index: int, sealed: memoryview) -> None:
        start, end = plain_range(index, extent.size)
        cipher.decrypt(index, index == count - 1, body(index, sealed), destination[start:end])
        progress(end - start)

    @contextmanager
    def prepare() -> Iterator[SegmentWork]:
        own = extent.scratch()
        yield lambda index: open_segment(index + 1, read(index + 1, own))

    open_segment(0, first)
    threads = thread_count(extent.size)
    if threads > 1:
        Workers(count - 1).run(threads, prepare)
        return
    for index in range(1, count):
        open_segment(index, read(index, scratch))


def check(
    extent: Extent,
    leaves: bytes,
    algorithm: LeafAlgorithm,
    *,
    sha256: bytes | None = None,
    progress: Progress = no_progress,
) -> None:
    """Checks the digests of a sealed stream without any key, in 1 MiB of memory per thread and 1 MiB more.

    Args:
        extent: where the stream is.
        leaves: the signed leaf digests.
        algorithm: hash of the leaves.
        sha256: signed SHA-256 of the whole stream, where there is one.
        progress: told the plaintext bytes of each finished segment; called from several threads.

    Raises:
        TamperedError: a digest differs.
        OSError: the file cannot be read.
    """
    segments = SignedSegments(extent, leaves, algorithm)
    whole = WholeSha256(sha256)

    @contextmanager
    def prepare() -> Iterator[SegmentWork]:
        scratch = extent.scratch()

        def work(index: int) -> InTurn | None:
            sealed = segments.read(index, scratch)
            start, end = plain_range(index, extent.size)
            progress(end - start)
            return whole.in_turn(sealed)

        yield work

    Workers(segment_count(extent.size)).run(thread_count(extent.size), prepare)
    whole.check()
