"""The archive form: one reading of every file, and no byte that nobody looks at."""

from __future__ import annotations

import io
import os
import random
import tarfile
from pathlib import Path

import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.container import names, tar
from modelkeep.container.archive import Archive, first_file, first_name
from modelkeep.container.arriving import ArrivingArchive
from modelkeep.container.order import Order, archive_order
from modelkeep.container.place import Place
from modelkeep.container.slots import lay_out
from modelkeep.errors import (
    KeepError,
    MalformedError,
    RefusedError,
    StorageError,
    UnavailableError,
    UsageError,
)
from support.descriptors import open_descriptors, settled_descriptors
from support.workshop import Workshop

CONTENT = {
    "manifest.json": b"{}",
    "model.sig": b"{}",
    "signatures/0": b"{}",
    "grants/0": b"{}",
    "leaves/0": bytes(32),
    "leaves/1": bytes(32),
    "payload/0": b"p" * 100,
    "payload/1": b"q" * 5000,
}


def in_order(content: dict[str, bytes]) -> dict[str, bytes]:
    """Returns the same files in the order that the format demands."""
    return {name: content[name] for name in sorted(content, key=archive_order)}


def archive_of(content: dict[str, bytes]) -> bytes:
    """Returns an archive laid out as the writer does."""
    slots = lay_out({name: len(data) for name, data in content.items()})
    parts = (slots[name].front + data + bytes(-len(data) % 512) for name, data in content.items())
    return b"".join(parts) + tar.END


def opened(tmp_path: Path, data: bytes) -> dict[str, int]:
    """Returns names and sizes as both readers find them: that of files, and that of streams."""
    (tmp_path / "test.keep").write_bytes(data)
    try:
        archive = Archive(tmp_path / "test.keep")
    except MalformedError as error:
        with pytest.raises(MalformedError) as again:
            arrived(data)
        # Where the end of a file is near, a reader of streams cannot know it yet.
        assert str(again.value) == str(error) or "early" in str(error)
        raise
    archive.close()
    assert arrived(data) == archive.sizes
    return archive.sizes


def arrived(data: bytes) -> dict[str, int]:
    archive = ArrivingArchive(io.BytesIO(data))
    sizes = {}
    while archive.entry is not None:
        sizes[archive.entry.name] = archive.entry.size
        assert len(archive.read()) == sizes[next(reversed(sizes))]
    return sizes


def refused(tmp_path: Path, data: bytes, match: str = "bundle: ") -> None:
    with pytest.raises(MalformedError, match=match):
        opened(tmp_path, data)


def without(*names: str) -> dict[str, bytes]:
    return {name: data for name, data in CONTENT.items() if name not in names}


def test_lists_its_files_in_order(tmp_path: Path) -> None:
    assert opened(tmp_path, archive_of(CONTENT)) == {name: len(data) for name, data in CONTENT.items()}


def test_reads_their_content(tmp_path: Path) -> None:
    (tmp_path / "test.keep").write_bytes(archive_of(CONTENT))
    with Bundle(tmp_path / "test.keep") as bundle:
        assert {name: bundle.read(name) for name in bundle.sizes} == CONTENT


def test_signatures_and_grants_are_optional(tmp_path: Path) -> None:
    assert len(opened(tmp_path, archive_of(without("model.sig", "signatures/0", "grants/0")))) == 5


def test_no_byte_outside_the_files_can_be_changed(workshop: Workshop) -> None:
    path = workshop.seal()
    with tarfile.open(path) as archive:
        content = {
            position
            for member in archive.getmembers()
            for position in range(member.offset_data, member.offset_data + member.size)
        }
    data = path.read_bytes()
    accepted = []
    with path.open("r+b") as file:
        for position in sorted(set(range(len(data))) - content):
            os.pwrite(
                file.fileno(), bytes([data[position] ^ random.Random(position).randrange(1, 256)]), position
            )
            try:
                Archive(path).close()
                accepted.append(position)
            except MalformedError:
                pass
            os.pwrite(file.fileno(), data[position : position + 1], position)
    assert accepted == []


def test_no_byte_of_the_payload_can_be_changed(workshop: Workshop) -> None:
    path = workshop.seal()
    with tarfile.open(path) as archive:
        places = [(m.offset_data, m.size) for m in archive.getmembers() if not m.name.startswith("grants")]
    positions = [position for start, size in places for position in range(start, start + size, 41)]
    data, verifier = path.read_bytes(), workshop.verifier()
    with path.open("r+b") as file:
        for position in positions:
            os.pwrite(file.fileno(), bytes([data[position] ^ 1]), position)
            with pytest.raises((RefusedError, MalformedError)), Bundle(path) as bundle:
                bundle.verify(verifier).check_digests()
            os.pwrite(file.fileno(), data[position : position + 1], position)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 1024, 3000, -1, -512, -1024, -1025])
def test_a_cut_archive_is_refused(tmp_path: Path, length: int) -> None:
    refused(tmp_path, archive_of(CONTENT)[:length])


@pytest.mark.parametrize("tail", [b"\0", bytes(512), bytes(1024), b"x", tar.header("grants/1", 0) + tar.END])
def test_an_archive_with_a_tail_is_refused(tmp_path: Path, tail: bytes) -> None:
    refused(tmp_path, archive_of(CONTENT) + tail)


def test_an_archive_with_one_zero_block_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, archive_of(CONTENT)[:-512], "cut short")


@pytest.mark.parametrize(
    "name",
    [
        "extra",
        "/manifest.json",
        "./manifest.json",
        "../manifest.json",
        "payload/../x",
        "payload/01",
        "payload/-1",
        "payload/1/",
        "payload/",
        "payload",
        "payload/100000",
        "leaves/x",
        "PAYLOAD/0",
        "grants/1\n",
        "grants/٣",
        "",
    ],
)
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    refused(tmp_path, archive_of(CONTENT | {name: b""}))


@pytest.mark.parametrize(
    "order",
    [
        ["model.sig", "manifest.json"],
        ["manifest.json", "leaves/1", "leaves/0"],
        ["manifest.json", "payload/0", "leaves/0"],
        ["manifest.json", "grants/0", "signatures/0", "leaves/0", "payload/0"],
        ["manifest.json", "leaves/0", "grants/0", "payload/0"],
        ["manifest.json", "leaves/0", "payload/0", "grants/0"],
        ["manifest.json", "leaves/0", "payload/0", "signatures/0"],
        ["manifest.json", "leaves/0", "model.sig", "payload/0"],
        ["manifest.json", "leaves/1", "payload/1"],
        ["manifest.json", "grants/1", "leaves/0", "payload/0"],
    ],
)
def test_another_order_is_refused(tmp_path: Path, order: list[str]) -> None:
    refused(tmp_path, archive_of({name: CONTENT.get(name, b"") for name in order}), "out of order")


def test_a_second_file_of_one_name_is_refused(tmp_path: Path) -> None:
    once = archive_of({"manifest.json": b"{}"})[: -len(tar.END)]
    refused(tmp_path, once + archive_of(CONTENT), "out of order")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({}, "no manifest"),
        (without("manifest.json"), "no manifest"),
        (without("leaves/1"), "do not match"),
        (without("payload/1"), "do not match"),
        (CONTENT | {"manifest.json": bytes(2**20 + 1)}, "larger than allowed"),
        (CONTENT | {"grants/0": bytes(8193)}, "larger than allowed"),
        (CONTENT | {"signatures/0": bytes(2**17 + 1)}, "larger than allowed"),
        (in_order(CONTENT | {f"grants/{index}": b"" for index in range(1025)}), "too many"),
        (in_order(CONTENT | {f"signatures/{index}": b"" for index in range(65)}), "too many"),
    ],
)
def test_missing_or_oversized_files_are_refused(
    tmp_path: Path, content: dict[str, bytes], match: str
) -> None:
    refused(tmp_path, archive_of(content), match)


def test_payload_that_is_not_aligned_is_refused(tmp_path: Path) -> None:
    data = b"".join(tar.header(name, 0) for name in ("manifest.json", "leaves/0", "payload/0")) + tar.END
    refused(tmp_path, data, "not aligned")


def test_padding_where_none_belongs_is_refused(tmp_path: Path) -> None:
    padding = tar.pad_before(0)
    refused(tmp_path, padding + archive_of(CONTENT), "padding in front of something else")
    refused(tmp_path, padding + padding + padding, "padding in front of something else")
    aligned = b"".join(tar.header(f"leaves/{index}", 0) for index in range(6))
    data = tar.header("manifest.json", 0) + aligned + padding + tar.header("payload/0", 0) + tar.END
    refused(tmp_path, data, "bad padding")


def test_a_size_beyond_the_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, tar.header("manifest.json", 2000) + bytes(1000), "ends early")
    refused(tmp_path, tar.header("manifest.json", 2**80) + bytes(1000))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_whatever_is_not_a_regular_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(tmp_path, info.tobuf(tarfile.USTAR_FORMAT) + tar.END, "bad archive header")


@pytest.mark.parametrize("changes", [{"mode": 0o600}, {"uid": 1}, {"mtime": 1}, {"uname": "root"}])
def test_other_metadata_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    info = tarfile.TarInfo("manifest.json")
    for name, value in changes.items():
        setattr(info, name, value)
    refused(tmp_path, info.tobuf(tarfile.USTAR_FORMAT) + tar.END, "bad archive header")


def test_a_file_that_shrinks_while_it_is_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.keep"
    path.write_bytes(archive_of(CONTENT))
    with Bundle(path) as bundle:
        os.truncate(path, 600)
        with pytest.raises(MalformedError, match="ends early"):
            bundle.read("grants/0")


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(MalformedError, match="neither a regular file nor a folder"):
            Bundle(path)
    for name in ("none", "n" * 300, "pipe/x"):
        with pytest.raises(StorageError):
            Bundle(tmp_path / name)


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x08\x07" * 600, bytes(512), bytes(1024), bytes(10_240)])
def test_other_files_are_not_bundles(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data)


def test_random_archives_are_refused_in_words(tmp_path: Path) -> None:
    good, chance = archive_of(CONTENT), random.Random(3)
    for _ in range(300):
        data = bytearray(good)
        start = chance.randrange(0, len(data), 512)
        data[start : start + 512] = chance.choice(
            [b"", chance.randbytes(512), data[:512], bytes(512), good[-2048:], tar.pad_before(start)]
        )
        (tmp_path / "test.keep").write_bytes(data)
        try:
            Bundle(tmp_path / "test.keep").close()
        except KeepError as error:
            assert isinstance(error, MalformedError)


def test_a_closed_bundle_reads_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "test.keep").write_bytes(archive_of(CONTENT))
    bundle = Bundle(tmp_path / "test.keep")
    bundle.close()
    bundle.close()
    with pytest.raises(UsageError, match="closed"):
        bundle.read("manifest.json")


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "test.keep").write_bytes(archive_of(CONTENT))
    with Bundle(tmp_path / "test.keep") as bundle, pytest.raises(UsageError, match="no file 'grants/7'"):
        bundle.read("grants/7")


def test_the_first_file_is_there_whole_and_by_its_name_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "net.keep"
    path.write_bytes(archive_of({"manifest.json": b"{}"}))
    before = settled_descriptors()
    assert first_name(path) == "manifest.json"
    assert open_descriptors() == before
    for content, name, largest, expected in (
        (path.read_bytes(), "manifest.json", 2, b"{}"),
        (path.read_bytes(), "manifest.json", 1, None),
        (path.read_bytes(), "model.sig", 2, None),
        (path.read_bytes()[:511], "manifest.json", 2, None),
    ):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert first_file(file.fileno(), name, largest) == expected


def test_a_place_beyond_all_memory_is_a_lack_of_memory(tmp_path: Path) -> None:
    with (
        tmp_path.joinpath("x").open("w+b") as file,
        pytest.raises(UnavailableError, match="not enough memory"),
    ):
        Place(file.fileno(), 0, 2**62).read()


def test_files_of_a_kind_are_counted() -> None:
    order = Order()
    order.check("manifest.json", 2)
    for number in range(names.MOST_SIGNATURES):
        order.check(f"signatures/{number}", 2)
    with pytest.raises(MalformedError):
        order.check(f"signatures/{names.MOST_SIGNATURES}", 2)
