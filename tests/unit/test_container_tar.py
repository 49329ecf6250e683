"""Tar headers: what the standard library reads in them, and sizes beyond eight gibibytes."""

from __future__ import annotations

import io
import tarfile

import pytest

from modelkeep.container import tar
from modelkeep.container.slots import lay_out

GIB = 2**30


@pytest.mark.parametrize("name", ["manifest.json", "payload/0", "grants/1023", "n" * 100])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 8 * GIB - 1])
def test_headers_are_plain_ustar(name: str, size: int) -> None:
    info = tarfile.TarInfo.frombuf(tar.header(name, size), "ascii", "strict")
    assert (info.name, info.size, info.type) == (name, size, tarfile.REGTYPE)
    assert (info.mode, info.uid, info.gid, info.mtime) == (0o644, 0, 0, 0)
    assert (info.linkname, info.uname, info.gname) == ("", "", "")


@pytest.mark.parametrize("size", [8 * GIB, 8 * GIB + 1, 2**52])
def test_larger_sizes_are_base_256(size: int) -> None:
    info = tarfile.TarInfo("payload/1")
    info.size = size
    header = tar.header("payload/1", size)
    assert header[124:136] == info.tobuf(tarfile.GNU_FORMAT)[124:136]
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == size


@pytest.mark.parametrize("size", [0, 1, 8 * GIB - 1, 8 * GIB, 2**52])
def test_parsing_undoes_writing(size: int) -> None:
    block = tar.header("payload/1", size)
    assert (tar.parse_name(block), tar.parse_size(block)) == ("payload/1", size)


@pytest.mark.parametrize("field", [b"\0" * 12, b"12 4567\0\0\0\0\0", b"-1\0" + bytes(9), b"0000000009\0\0"])
def test_fields_that_hold_no_number(field: bytes) -> None:
    block = tar.header("payload/1", 1)
    assert tar.parse_size(block[:124] + field + block[136:]) is None


def test_names_that_are_not_ascii() -> None:
    assert tar.parse_name("größe".encode().ljust(512, b"\0")) is None


@pytest.mark.parametrize("position", range(0, 3 * 4096, 512))
def test_padding_aligns_what_follows(position: int) -> None:
    padding = tar.pad_before(position)
    assert (position + len(padding) + tar.BLOCK) % 4096 == 0
    assert len(padding) <= 4096 + 512
    if padding:
        data = padding + tar.header("payload/0", 0) + tar.END
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            (member,) = archive.getmembers()
        assert member.name == "payload/0"
        assert set(member.pax_headers) == {"comment"}


def test_slots_beyond_eight_gibibytes_follow_each_other() -> None:
    sizes = {"manifest.json": 700, "payload/0": 1, "payload/1": 9 * GIB + 1, "payload/2": 5, "grants/0": 400}
    slots = lay_out(sizes)
    position = 0
    for name, slot in slots.items():
        assert slot.data_offset - len(slot.front) == position
        assert slot.front.endswith(tar.header(name, sizes[name]))
        position = slot.end
    assert all(slots[f"payload/{index}"].data_offset % 4096 == 0 for index in range(3))
