"""Streams and tapes at their edges: what is read how often, where it ends, and who is told."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelkeep.bundle.arriving import ArrivingMember, VerifiedArrival
from modelkeep.container import tape
from modelkeep.container.arriving import ArrivingArchive
from modelkeep.container.tape import FileTape, StreamTape
from modelkeep.container.walk import Entry
from modelkeep.errors import MalformedError, StorageError, TamperedError
from modelkeep.manifest import LeafAlgorithm, Suite
from modelkeep.payload import stream
from modelkeep.payload.cipher import associated_data, installed_associated_data
from modelkeep.payload.layout import SEGMENT, plain_range, sealed_size, segment_at, segment_count
from modelkeep.payload.segments import Extent, WholeSha256
from modelkeep.payload.source import FileSource, MemorySource, read_fully
from modelkeep.payload.vouched_source import VouchedSource
from modelkeep.payload.workers import Workers
from support.descriptors import open_descriptors, settled_descriptors
from support.streams import cipher_for, seal_stream

SIZE = SEGMENT + 1000
PLAIN = bytes(range(256)) * (SIZE // 256 + 1)
PLAIN = PLAIN[:SIZE]


def test_a_files_headers_are_read_in_few_pieces_and_to_its_end_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(250)) * 100
    (tmp_path / "file").write_bytes(content)
    reads, really = [], os.pread

    def read(descriptor: int, size: int, offset: int) -> bytes:
        reads.append(offset)
        return really(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", read)
    with (tmp_path / "file").open("rb") as file:
        reading = FileTape(file.fileno())
        assert [reading.take(500) for _ in range(16)] == [content[n * 500 : n * 500 + 500] for n in range(16)]
        assert reads == [0]
        assert reading.take(192) == content[8000:8192]
        assert reads == [0]
        assert reading.take(1) == content[8192:8193]
        assert reads == [0, 8192]
        reading.skip(10_000)
        assert reading.position == 18_193
        assert reading.take(6807) == content[18_193:]
        assert reading.ends()
        with pytest.raises(MalformedError, match="cut short"):
            reading.take(1)
        with pytest.raises(MalformedError, match="ends early"):
            reading.skip(1)
    with (tmp_path / "file").open("rb") as file:
        reading = FileTape(file.fileno())
        assert not reading.ends()
        reading.skip(len(content))
        assert reading.ends()


class Drip:
    """Gives what it is asked for a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)
        self.asked: list[int] = []

    def read(self, size: int, /) -> bytes | None:
        self.asked.append(size)
        return self._content.read(min(size, 3))


class Filling(Drip):
    def readinto(self, view: memoryview, /) -> int | None:
        self.asked.append(len(view))
        return self._content.readinto(view[:3])


class Skipping(Drip):
    def skip(self, size: int, /) -> None:
        self.asked.append(-size)
        self._content.seek(size, os.SEEK_CUR)


@pytest.mark.parametrize("kind", [Drip, Filling])
def test_a_stream_is_read_piece_by_piece_and_no_byte_twice(kind: type[Drip]) -> None:
    source = kind(b"0123456789abcdef")
    reading = StreamTape(source)
    assert reading.take(4) == b"0123"
    view = memoryview(bytearray(5))
    reading.fill(view)
    assert bytes(view) == b"45678"
    reading.skip(4)
    assert reading.position == 13
    assert source.asked == [4, 1, 5, 2, 4, 1]
    assert not reading.ends()
    assert reading.take(2) == b"ef"
    assert reading.ends()
    for work in (lambda: reading.take(1), lambda: reading.fill(view), lambda: reading.skip(1)):
        with pytest.raises(MalformedError, match="cut short"):
            work()
    assert reading.position == 15


def test_large_pieces_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "_PIECE", 2)
    source = Drip(b"01234")
    reading = StreamTape(source)
    assert reading.take(3) == b"012"
    reading.skip(2)
    assert source.asked == [2, 1, 2]


def test_a_stream_that_can_skip_is_not_read_for_it() -> None:
    source = Skipping(b"0123456789")
    reading = StreamTape(source)
    reading.skip(6)
    assert (reading.position, reading.take(1), source.asked) == (6, b"6", [-6, 1])


class Odd:
    def __init__(self, answer: int | OSError | None) -> None:
        self._answer = answer

    def _given(self) -> int | None:
        if isinstance(self._answer, OSError):
            raise self._answer
        return self._answer

    def readinto(self, _view: memoryview, /) -> int | None:
        return self._given()

    def read(self, _size: int, /) -> bytes | None:
        found = self._given()
        return None if found is None else bytes(found)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (None, StorageError, "does not wait"),
        (0, MalformedError, "cut short"),
        (OSError(5, "Input/output error"), StorageError, "^the stream broke: input/output error$"),
        (OSError("Odd"), StorageError, "^the stream broke: odd$"),
    ],
)
def test_streams_that_break_are_told(answer: Any, error: type[Exception], words: str) -> None:
    reading = StreamTape(Odd(answer))
    with pytest.raises(error, match=words):
        reading.fill(memoryview(bytearray(1)))
    with pytest.raises(error, match=words):
        reading.take(1)


class Counted(MemorySource):
    """Says which parts were read, and may change one of them."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        super().__init__(memoryview(self.content))
        self.reads: list[int] = []

    def read_into(self, view: memoryview, offset: int) -> None:
        self.reads.append(offset)
        super().read_into(view, offset)


def test_only_the_parts_that_are_wanted_are_read_and_checked() -> None:
    source = Counted(PLAIN)
    border = plain_range(0, SIZE)[1]
    with VouchedSource(source, "model", hashlib.sha256(PLAIN).digest()).open() as opened:
        assert source.reads == [0, border]
        for start, end, parts in (
            (0, border, [0]),
            (5, border, [0]),
            (0, border - 1, [0]),
            (border, SIZE, [border]),
            (border, border + 1, [border]),
            (border - 1, border + 1, [0, border]),
            (0, SIZE, [0, border]),
            (0, 0, [0]),
        ):
            source.reads.clear()
            view = memoryview(bytearray(end - start))
            opened.read_into(view, start)
            assert bytes(view) == PLAIN[start:end]
            assert source.reads == parts
        source.content[border] ^= 1
        opened.read_into(memoryview(bytearray(border)), 0)
        with pytest.raises(TamperedError, match="model is not the file that was signed"):
            opened.read_into(memoryview(bytearray(2)), border - 1)
    with pytest.raises(TamperedError), VouchedSource(source, "model", bytes(32)).open():
        pass


def test_every_position_lies_in_its_segment() -> None:
    size = 3 * SEGMENT
    for index in range(segment_count(size)):
        start, end = plain_range(index, size)
        assert segment_at(start) == segment_at(end - 1) == index


def test_what_a_stream_is_bound_to() -> None:
    suite, owner = Suite.CHACHA20_POLY1305_HKDF_1MB, bytes(range(16))
    for index, role in ((0, 0), (1, 1), (7, 1)):
        place = struct.pack(">B16sBI", 2, owner, role, index)
        assert associated_data(suite, owner, index) == b"modelkeep/v1/stream" + place
        assert installed_associated_data(suite, owner, index) == b"modelkeep/v1/installed" + place


@contextmanager
def extent_of(sealed: bytes, size: int) -> Iterator[Extent]:
    descriptor = os.memfd_create("sealed")
    try:
        os.write(descriptor, sealed)
        yield Extent(descriptor, 0, size)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_started_where_there_are_several_alone(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Noted(Workers):
        def run(self, threads: int, prepare: Any) -> None:
            started.append(threads)
            super().run(threads, prepare)

    monkeypatch.setattr(stream, "Workers", Noted)
    sealed, digests = seal_stream(PLAIN)
    started.clear()
    monkeypatch.setattr(stream, "thread_count", lambda _size: threads)
    plain = bytearray(SIZE)
    told: list[int] = []
    with extent_of(sealed, SIZE) as extent:
        stream.decrypt(
            extent, cipher_for, digests.leaves, LeafAlgorithm.BLAKE3, memoryview(plain), progress=told.append
        )
        assert started == ([2] if threads == 2 else [])
        assert (bytes(plain), sum(told), len(told)) == (PLAIN, SIZE, 2)
        told.clear()
        stream.check(
            extent, digests.leaves, LeafAlgorithm.BLAKE3, sha256=digests.sha256, progress=told.append
        )
        stream.check_installed(extent, cipher_for, progress=told.append)
        assert (sum(told), len(told)) == (2 * SIZE, 4)


def member_of(entry: Entry | None, sealed: bytes, leaves: bytes) -> ArrivingMember:
    """Returns the second stream of a bundle that arrives with `entry` next, and `sealed` in it."""
    archive = ArrivingArchive.__new__(ArrivingArchive)
    archive._tape, archive._left, archive.entry = StreamTape(io.BytesIO(sealed)), len(sealed) + 1, entry
    manifest = SimpleNamespace(
        members=(SimpleNamespace(size=1), SimpleNamespace(size=SIZE)), leaf_algorithm=LeafAlgorithm.BLAKE3
    )
    signed: Any = SimpleNamespace(manifest=manifest, resources={"payload/1": hashlib.sha256(sealed).digest()})
    return ArrivingMember(archive, signed, 1, leaves)


def test_a_stream_of_another_name_or_size_is_refused_before_a_byte_of_it() -> None:
    sealed, digests = seal_stream(PLAIN)
    size = sealed_size(SIZE)
    for entry in (None, Entry("payload/0", size), Entry("payload/1", size + 1), Entry("payload/1", size - 1)):
        member = member_of(entry, sealed, digests.leaves)
        with pytest.raises(TamperedError, match="not those that its manifest lists"):
            next(member.segments(member.whole()))


def test_leaves_of_another_name_or_size_are_refused_before_they_are_read() -> None:
    arrival = VerifiedArrival.__new__(VerifiedArrival)
    signed: Any = SimpleNamespace(manifest=SimpleNamespace(members=(SimpleNamespace(size=1),)))
    arrival.signed = signed
    for entry in (None, Entry("leaves/1", 32), Entry("leaves/0", 64), Entry("payload/0", 32)):
        following: Any = SimpleNamespace(entry=entry)
        arrival._archive = following
        with pytest.raises(TamperedError, match="not those that its manifest lists"):
            arrival._leaves(0)


def test_what_follows_the_last_stream_is_refused_when_all_of_it_was_checked() -> None:
    arrival = VerifiedArrival.__new__(VerifiedArrival)
    nothing: Any = SimpleNamespace(manifest=SimpleNamespace(members=()))
    arrival.signed = nothing
    for entry in (None, Entry("payload/0", 1)):
        following: Any = SimpleNamespace(entry=entry)
        arrival._archive = following
        if entry is None:
            arrival.check_digests()
            continue
        with pytest.raises(TamperedError, match="not those that its manifest lists"):
            arrival.check_digests()


def test_a_stream_goes_on_behind_what_is_there_already() -> None:
    sealed, digests = seal_stream(PLAIN)
    for first, found in ((0, [0, 1]), (1, [1]), (2, [])):
        member = member_of(Entry("payload/1", sealed_size(SIZE)), sealed, digests.leaves)
        assert (member.number, member.size, member.count) == (1, SIZE, 2)
        whole = member.whole()
        whole.take(memoryview(sealed)[: min(first * SEGMENT, len(sealed))])
        parts = [(index, bytes(part)) for index, part in member.segments(whole, first)]
        assert parts == [(index, sealed[index * SEGMENT :][:SEGMENT]) for index in found]
    member = member_of(Entry("payload/1", sealed_size(SIZE)), sealed, digests.leaves)
    with pytest.raises(TamperedError, match="a file is not the one that was signed"):
        list(member.segments(WholeSha256(bytes(32))))


def test_a_source_is_closed_and_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    before = settled_descriptors()
    source = FileSource(tmp_path / "file")
    assert (source.size, open_descriptors()) == (10, before)
    with source.open() as opened:
        view = memoryview(bytearray(4))
        opened.read_into(view, 6)
        assert bytes(view) == b"6789"
        with pytest.raises(StorageError, match="changed while it was being sealed"):
            opened.read_into(view, 7)
    assert open_descriptors() == before
    with (tmp_path / "file").open("rb") as file:
        view = memoryview(bytearray(8))
        assert read_fully(file.fileno(), view, 4) == 6
        assert bytes(view) == b"456789\0\0"
        assert read_fully(file.fileno(), view[:0], 4) == 0
