"""What a stream or a disk does to an update while it arrives."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from modelkeep.container import names
from modelkeep.errors import (
    StorageError,
    TamperedError,
)
from modelkeep.manifest import Coverage
from modelkeep.payload.layout import HEADER, SEGMENT
from modelkeep.updates.installation import InstallReport, install
from support.states import path_of, remembered
from support.workshop import MODEL_ID, Workshop

SIZE = 5 * SEGMENT


class Breaking(io.BytesIO):
    """A stream that breaks."""

    def __init__(self, content: bytes, after: int) -> None:
        super().__init__(content)
        self._after = after

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        if self.tell() >= self._after:
            raise ConnectionResetError("connection reset by peer")
        return super().read(min(size, self._after - self.tell()))


class Half:
    """An installation of which a half has arrived.

    Args:
        workshop: seals it.
        options: how.
    """

    def __init__(self, workshop: Workshop, **options: Any) -> None:
        self.workshop = workshop
        self.target = workshop.folder / "installed.keep"
        source = workshop.folder / "weights.bin"
        source.write_bytes(os.urandom(SIZE))
        self.bundle = workshop.seal(source, **options)
        with pytest.raises(StorageError, match="connection reset"):
            self.install(Breaking(self.bundle.read_bytes(), 3 * SEGMENT + 300_000))
        (self.file,) = workshop.folder.glob(".installed.keep.*.arriving")

    def install(self, source: io.BytesIO | Path) -> InstallReport:
        identity, verifier = self.workshop.identity(), self.workshop.verifier()
        return install(source, self.target, identity=identity, verifier=verifier)

    def go_on(self) -> InstallReport:
        """Brings it to its end, and checks what came out."""
        report = self.install(self.bundle)
        assert self.workshop.read(self.target) == self.workshop.read(self.bundle)
        assert not self.file.exists()
        return report

    def edit(self, offset: int, content: bytes) -> None:
        with self.file.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    def payload(self, member: int) -> int:
        """Returns where the stream of a member begins."""
        header = f"{names.PAYLOAD}/{member}".encode().ljust(100, b"\0")
        return self.file.read_bytes().index(header) + 512


@pytest.mark.parametrize("coverage", list(Coverage))
def test_what_has_arrived_is_not_fetched_again(workshop: Workshop, coverage: Coverage) -> None:
    half = Half(workshop, digest=coverage)
    assert not half.target.exists()
    report = half.go_on()
    assert report.kept > 2 * SEGMENT
    assert report.fetched < half.bundle.stat().st_size - 2 * SEGMENT


def test_a_stream_that_cannot_go_back_passes_over_what_is_there(workshop: Workshop) -> None:
    half = Half(workshop)
    assert half.install(io.BytesIO(half.bundle.read_bytes())).kept > 2 * SEGMENT
    assert workshop.read(half.target) == workshop.read(half.bundle)


def test_a_segment_that_was_torn_or_exchanged_is_found(workshop: Workshop) -> None:
    half = Half(workshop)
    half.edit(half.payload(1) + SEGMENT + 8192, bytes(4096))
    assert half.go_on().kept < 2 * SEGMENT


@pytest.mark.parametrize("place", ["journal", "salt", "new header", "frame", "record", "length"])
def test_an_edited_journal_costs_time_and_nothing_else(workshop: Workshop, place: str) -> None:
    half = Half(workshop)
    if place == "length":
        half.edit(half.file.stat().st_size, b"more")
    else:
        journal = half.file.stat().st_size - HEADER
        places = {"journal": journal, "salt": journal + 1, "new header": half.payload(1)}
        half.edit((places | {"frame": 100, "record": 600})[place], bytes(HEADER - 1))
    assert half.go_on().kept < SEGMENT


def test_a_journal_of_another_device(workshop: Workshop) -> None:
    half = Half(
        workshop, to=[workshop.device.with_suffix(".pub"), workshop.new_device("other").with_suffix(".pub")]
    )
    theirs = half.file.read_bytes()
    identity = workshop.identity(workshop.folder / "other.pem")
    target = workshop.folder / "theirs.keep"
    kept = half.file.with_name(half.file.name.replace("installed.keep", "theirs.keep"))
    kept.write_bytes(theirs)
    kept.chmod(0o600)
    report = install(half.bundle, target, identity=identity, verifier=workshop.verifier())
    assert report.kept == 0
    assert workshop.read(target, identity=identity) == workshop.read(half.bundle)


def test_a_journal_that_is_said_to_be_of_another_release(workshop: Workshop) -> None:
    """The key of one release must never encrypt another one at the same places: a two-time pad."""
    half = Half(workshop)
    first = (workshop.folder / "weights.bin").read_bytes()
    (workshop.folder / "weights.bin").write_bytes(bytes(each ^ 1 for each in first))
    other = workshop.seal(workshop.folder / "weights.bin")
    seen, state = half.file.read_bytes(), path_of(workshop.identity())
    remembering_the_first = state.read_bytes()
    half.bundle = other
    with pytest.raises(StorageError):
        half.install(Breaking(other.read_bytes(), 3 * SEGMENT))
    (mine,) = workshop.folder.glob(".installed.keep.*.arriving")
    # What was written for the first one, and its secret, in the place of the second one's.
    state.write_bytes(remembering_the_first)
    mine.write_bytes(_with_front_of(seen, mine.read_bytes()))
    report = half.install(other)
    assert report.kept == 0
    written = half.target.read_bytes()
    start, count = seen.index(b"payload/1") + 512 + 2 * HEADER, 4096
    pad = bytes(
        a ^ b for a, b in zip(seen[start : start + count], written[start : start + count], strict=True)
    )
    assert pad != bytes([1]) * count, "XOR of the ciphertexts is that of the plaintexts"


def _with_front_of(seen: bytes, other: bytes) -> bytes:
    start = seen.index(b"manifest.json")
    end = seen.index(b"payload/0")
    return seen[:start] + other[other.index(b"manifest.json") : other.index(b"payload/0")] + seen[end:]


def test_what_was_exchanged_on_the_way(workshop: Workshop) -> None:
    bundle = workshop.seal(workshop.model(size=400_000))
    data = bytearray(bundle.read_bytes())
    data[data.rindex(b"payload/1") + 512 + SEGMENT + 99] ^= 1
    target = workshop.folder / "installed.keep"
    settings: dict[str, Any] = {"identity": workshop.identity(), "verifier": workshop.verifier()}
    with pytest.raises(TamperedError, match="segment 1 is not the one"):
        install(io.BytesIO(data), target, **settings)
    assert not target.exists()
    assert not remembered(workshop.identity()).models[MODEL_ID].marks
    assert install(bundle, target, **settings).kept


@pytest.mark.parametrize("kind", ["link", "hard link", "readable", "folder"])
def test_something_else_in_the_place_of_what_is_kept(workshop: Workshop, kind: str) -> None:
    half = Half(workshop)
    precious = workshop.folder / "precious"
    precious.write_bytes(b"precious")
    half.file.unlink()
    if kind == "link":
        half.file.symlink_to(precious)
    elif kind == "hard link":
        half.file.hardlink_to(precious)
    elif kind == "folder":
        half.file.mkdir()
    else:
        half.file.write_bytes(b"")
        half.file.chmod(0o666)
    assert half.install(half.bundle).kept == 0
    assert workshop.read(half.target) == workshop.read(half.bundle)
    assert precious.read_bytes() == b"precious"
    assert not half.target.stat().st_mode & 0o077
