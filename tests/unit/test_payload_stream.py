"""Streams: round trips at every boundary, and every way to damage one is refused."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from modelkeep.errors import StorageError, TamperedError
from modelkeep.manifest import LeafAlgorithm, Suite
from modelkeep.payload import stream
from modelkeep.payload.cipher import associated_data, body
from modelkeep.payload.layout import (
    HEADER,
    SEGMENT,
    plain_range,
    sealed_range,
    sealed_size,
    segment_count,
)
from modelkeep.payload.segments import Extent
from modelkeep.payload.source import FileSource
from modelkeep.payload.workers import ONE_THREAD_BELOW
from support.streams import cipher_for, open_by_the_book, open_stream, seal_stream

FIRST, LATER = SEGMENT - 56, SEGMENT - 16
SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + LATER, FIRST + LATER + 1, ONE_THREAD_BELOW + 1]
PLAIN = random.Random(7).randbytes(2 * SEGMENT + 1000)


def leaves_of(sealed: bytes) -> bytes:
    return b"".join(
        blake3(sealed[start : start + SEGMENT]).digest() for start in range(0, len(sealed), SEGMENT)
    )


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("size", SIZES)
def test_opens_to_what_was_sealed(tmp_path: Path, size: int, suite: Suite) -> None:
    plain = random.Random(size).randbytes(size)
    sealed, digests = seal_stream(plain, suite)
    assert len(sealed) == sealed_size(size)
    assert open_by_the_book(sealed, suite) == plain
    (tmp_path / "stream").write_bytes(b"front" + sealed)
    assert open_stream(tmp_path / "stream", size, digests.leaves, suite, offset=5) == plain


@pytest.mark.parametrize("algorithm", LeafAlgorithm)
def test_digests_are_those_of_segments_and_of_the_whole(algorithm: LeafAlgorithm) -> None:
    sealed, digests = seal_stream(PLAIN, algorithm=algorithm)
    digest: Callable[[bytes], bytes] = (
        (lambda data: blake3(data).digest())
        if algorithm is LeafAlgorithm.BLAKE3
        else (lambda data: hashlib.sha256(data).digest())
    )
    count = segment_count(len(PLAIN))
    plain_pieces = [PLAIN[slice(*plain_range(index, len(PLAIN)))] for index in range(count)]
    sealed_pieces = [sealed[slice(*sealed_range(index, len(PLAIN)))] for index in range(count)]
    assert digests.leaves == b"".join(map(digest, sealed_pieces))
    assert digests.plaintext == digest(b"".join(map(digest, plain_pieces)))
    assert digests.sha256 == hashlib.sha256(sealed).digest()


def test_no_two_streams_of_one_plaintext_are_alike() -> None:
    (first, _), (second, _) = seal_stream(b"same"), seal_stream(b"same")
    assert first[1:40] != second[1:40]
    assert first[40:] != second[40:]


def test_any_segment_decrypts_alone() -> None:
    sealed, _digests = seal_stream(PLAIN)
    cipher = cipher_for(sealed[:HEADER])
    for index in (2, 0, 1):
        start, end = plain_range(index, len(PLAIN))
        plain = bytearray(end - start)
        segment = memoryview(sealed)[slice(*sealed_range(index, len(PLAIN)))]
        cipher.decrypt(index, index == 2, body(index, segment), memoryview(plain))
        assert plain == PLAIN[start:end]


@pytest.mark.parametrize(("index", "last"), [(0, True), (1, True), (2, False), (3, True)])
def test_a_segment_decrypts_in_its_place_only(index: int, last: bool) -> None:
    sealed, _digests = seal_stream(PLAIN)
    segment = memoryview(sealed)[slice(*sealed_range(min(index, 2), len(PLAIN)))]
    piece = body(min(index, 2), segment)
    plain = bytearray(b"\xff" * (len(piece) - 16))
    with pytest.raises(TamperedError, match=f"segment {index} does not decrypt"):
        cipher_for(sealed[:HEADER]).decrypt(index, last, piece, memoryview(plain))
    assert not any(plain)


def swapped(sealed: bytes) -> bytes:
    return sealed[:SEGMENT] + sealed[2 * SEGMENT :] + sealed[SEGMENT : 2 * SEGMENT]


def flipped(position: int) -> Callable[[bytes], bytes]:
    return lambda sealed: (
        sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 or len(sealed) :]
    )


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "header length": flipped(0),
    "salt": flipped(1),
    "nonce prefix": flipped(39),
    "first ciphertext byte": flipped(40),
    "tag of segment 0": flipped(SEGMENT - 1),
    "segment 1": flipped(SEGMENT),
    "last byte": flipped(-1),
    "swapped segments": swapped,
    "repeated segment": lambda sealed: sealed[:SEGMENT] * 2 + sealed[2 * SEGMENT :],
    "one byte less": lambda sealed: sealed[:-1],
    "one segment less": lambda sealed: sealed[: 2 * SEGMENT],
    "header only": lambda sealed: sealed[:HEADER],
    "nothing": lambda sealed: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_by_the_digests(tmp_path: Path, damage: str) -> None:
    sealed, digests = seal_stream(PLAIN)
    (tmp_path / "stream").write_bytes(DAMAGE[damage](sealed))
    with pytest.raises(TamperedError):
        open_stream(tmp_path / "stream", len(PLAIN), digests.leaves)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_even_when_the_digests_fit(tmp_path: Path, damage: str) -> None:
    sealed, _digests = seal_stream(PLAIN)
    forged = DAMAGE[damage](sealed)
    (tmp_path / "stream").write_bytes(forged)
    with pytest.raises(TamperedError):
        open_stream(tmp_path / "stream", len(PLAIN), leaves_of(forged))


@pytest.mark.parametrize("size", [FIRST, FIRST + LATER, len(PLAIN) - 1, 0])
def test_a_shorter_size_with_fitting_digests_is_refused(tmp_path: Path, size: int) -> None:
    sealed, _digests = seal_stream(PLAIN)
    forged = sealed[: sealed_size(size)]
    (tmp_path / "stream").write_bytes(forged)
    with pytest.raises(TamperedError, match="does not decrypt"):
        open_stream(tmp_path / "stream", size, leaves_of(forged))


def test_missing_leaves_are_refused(tmp_path: Path) -> None:
    sealed, digests = seal_stream(PLAIN)
    (tmp_path / "stream").write_bytes(sealed)
    with pytest.raises(TamperedError, match="segment 2 is not the one that was signed"):
        open_stream(tmp_path / "stream", len(PLAIN), digests.leaves[:64])


def test_one_stream_does_not_open_in_the_place_of_another() -> None:
    names = {
        associated_data(suite, bundle, index)
        for suite in Suite
        for bundle in (bytes(16), bytes(15) + b"\1")
        for index in (0, 1, 2**32 - 1)
    }
    assert len(names) == 12
    assert len({len(name) for name in names}) == 1


@pytest.mark.parametrize("header", [b"", bytes(40), b"\x28" + bytes(38), b"\x28" + bytes(40)])
def test_headers_of_another_layout_are_refused(header: bytes) -> None:
    with pytest.raises(TamperedError, match="header"):
        cipher_for(header)


@pytest.mark.parametrize("whole", [True, False])
def test_check_needs_no_key(tmp_path: Path, whole: bool) -> None:
    sealed, digests = seal_stream(PLAIN)
    (tmp_path / "stream").write_bytes(sealed)
    seen: list[int] = []
    with (tmp_path / "stream").open("rb") as file:
        stream.check(
            Extent(file.fileno(), 0, len(PLAIN)),
            digests.leaves,
            LeafAlgorithm.BLAKE3,
            sha256=digests.sha256 if whole else None,
            progress=seen.append,
        )
    assert sum(seen) == len(PLAIN)


def test_check_compares_both_kinds_of_digests(tmp_path: Path) -> None:
    sealed, digests = seal_stream(PLAIN)
    (tmp_path / "stream").write_bytes(sealed)
    with (tmp_path / "stream").open("rb") as file:
        extent = Extent(file.fileno(), 0, len(PLAIN))
        with pytest.raises(TamperedError, match="a file is not the one"):
            stream.check(extent, digests.leaves, LeafAlgorithm.BLAKE3, sha256=bytes(32))
        with pytest.raises(TamperedError, match="segment 0"):
            stream.check(extent, bytes(96), LeafAlgorithm.BLAKE3, sha256=digests.sha256)


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_do_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(stream, "thread_count", lambda _size: threads)
    plain = PLAIN * 3
    sealed, digests = seal_stream(plain)
    assert digests.sha256 == hashlib.sha256(sealed).digest()
    (tmp_path / "stream").write_bytes(sealed)
    assert open_stream(tmp_path / "stream", len(plain), digests.leaves) == plain
    with (tmp_path / "stream").open("rb") as file:
        extent = Extent(file.fileno(), 0, len(plain))
        stream.check(extent, digests.leaves, LeafAlgorithm.BLAKE3, sha256=digests.sha256)


def test_a_source_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(StorageError, match="not a regular file|is a directory"):
            FileSource(path)
    with pytest.raises(StorageError, match="no such file"):
        FileSource(tmp_path / "none")


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
@pytest.mark.parametrize("content", [b"shorter", b"longer than before", b"0123456789"])
def test_a_source_that_changes_is_refused(tmp_path: Path, moment: str, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    os.utime(path, (1, 1))
    source = FileSource(path)
    if moment == "before":
        path.write_bytes(content)
    with pytest.raises(StorageError, match="changed while"), source.open() as opened:
        if moment == "meanwhile":
            path.write_bytes(content)
        opened.read_into(memoryview(bytearray(10)), 0)


def test_a_source_that_vanishes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    source = FileSource(path)
    path.unlink()
    with pytest.raises(StorageError, match="no such file"), source.open():
        pass
