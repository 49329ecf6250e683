"""A bundle's files at their edges: how many, how large, in which order, and where each of them begins."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from modelkeep.container import archive, names, order, tar
from modelkeep.container.archive import Archive
from modelkeep.container.arriving import ArrivingArchive
from modelkeep.container.files import Files
from modelkeep.container.front import Front
from modelkeep.container.order import BUNDLE, INSTALLATION, Order
from modelkeep.container.slots import lay_out, write_frame
from modelkeep.errors import MalformedError, UsageError
from modelkeep.grants.grant import LARGEST_GRANT
from modelkeep.manifest import LARGEST_MANIFEST
from support.descriptors import open_descriptors, settled_descriptors

SIZES = {names.MANIFEST: 5, names.SIGNATURE: 512, "grants/0": 513, "leaves/0": 32, "payload/0": 4097}
CONTENT = {name: bytes([65 + number]) * size for number, (name, size) in enumerate(SIZES.items())}


def written(path: Path) -> Path:
    with path.open("w+b") as file:
        slots = lay_out(SIZES)
        write_frame(file.fileno(), slots)
        for name, slot in slots.items():
            os.pwrite(file.fileno(), CONTENT[name], slot.data_offset)
    return path


@pytest.mark.parametrize(
    ("name", "largest"),
    [
        (names.MANIFEST, LARGEST_MANIFEST),
        (names.SIGNATURE, names.LARGEST_SIGNATURE),
        ("signatures/0", names.LARGEST_FURTHER_SIGNATURE),
        ("grants/0", LARGEST_GRANT),
        (names.INSTALL, names.LARGEST_INSTALL),
    ],
)
def test_a_file_may_be_so_large(name: str, largest: int) -> None:
    form = INSTALLATION if name == names.INSTALL else BUNDLE
    Order(form).check(name, largest)
    with pytest.raises(MalformedError, match="larger than allowed"):
        Order(form).check(name, largest + 1)
    Order(BUNDLE).check("payload/0", 2**50)


def test_there_may_be_so_many_files_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(order._MOST, names.GRANTS, 2)
    files = Order()
    files.check("grants/0", 1)
    files.check("grants/1", 1)
    with pytest.raises(MalformedError, match="too many files under grants"):
        files.check("grants/2", 1)
    single = Order()
    single.check(names.MANIFEST, 1)
    with pytest.raises(MalformedError, match=r"manifest.json is out of order"):
        single.check(names.MANIFEST, 1)


def test_files_stand_in_order_and_belong_to_their_form() -> None:
    for name, place in ((names.MANIFEST, (0, 0)), ("payload/7", (5, 7)), ("signatures/1", (2, 1))):
        assert order.archive_order(name) == place
    for name in ("payload/01", "payload/", "payload/-1", "other", names.INSTALL, "leaves/100000"):
        with pytest.raises(MalformedError, match="does not belong into a bundle"):
            order.archive_order(name)
    for first, second in (("grants/1", None), ("payload/0", "leaves/0"), ("grants/0", "grants/0")):
        files = Order()
        if second is not None:
            files.check(first, 1)
        with pytest.raises(MalformedError, match="out of order"):
            files.check(second or first, 1)


def test_a_form_is_complete_or_something_is_missing() -> None:
    complete = Order()
    complete.check(names.MANIFEST, 1)
    complete.finish()
    with pytest.raises(MalformedError, match=r"has no manifest.json"):
        Order().finish()
    unlike = Order()
    unlike.check(names.MANIFEST, 1)
    unlike.check("leaves/0", 1)
    with pytest.raises(MalformedError, match="leaves and payload do not match"):
        unlike.finish()


def test_an_archive_is_read_where_its_files_are(tmp_path: Path) -> None:
    path = written(tmp_path / "bundle.keep")
    before = settled_descriptors()
    with Files(Archive(path)) as files:
        assert dict(files.sizes) == SIZES
        assert {name: files.read(name) for name in SIZES} == CONTENT
        assert (files.find("grants/1"), files.find("grants/0")) == (None, CONTENT["grants/0"])
        with files.open_stream(0, 4001) as extent:
            assert (extent.size, extent.offset % tar.ALIGNMENT) == (4001, 0)
        front = Front.of(files)
        assert (front.second, front.files()) == (None, {each: CONTENT[each] for each in list(SIZES)[:2]})
        with pytest.raises(UsageError, match="has no file 'other'"):
            files.read("other")
    with pytest.raises(UsageError, match="is closed"):
        files.read(names.MANIFEST)
    assert open_descriptors() == before
    assert archive.first_name(path) == names.MANIFEST
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path / "pipe", tmp_path):
        assert archive.first_name(other) is None
        with pytest.raises(MalformedError, match="neither a regular file nor a folder"):
            Archive(other)
    assert open_descriptors() == before


def test_an_archive_that_arrives_is_read_or_skipped_file_by_file(tmp_path: Path) -> None:
    data = written(tmp_path / "bundle.keep").read_bytes()
    arriving = ArrivingArchive(io.BytesIO(data))
    found: list[Any] = []
    while (entry := arriving.entry) is not None:
        if entry.name == "leaves/0":
            arriving.skip(0)
            assert arriving.entry is entry
            arriving.skip(entry.size)
        elif entry.name == "payload/0":
            view = memoryview(bytearray(4000))
            arriving.fill(view)
            assert arriving.entry is entry
            arriving.skip(90)
            found.append((entry.name, bytes(view) + bytes(90) + arriving.read()))
        else:
            found.append((entry.name, arriving.read()))
    expected = {name: content for name, content in CONTENT.items() if name != "leaves/0"}
    expected["payload/0"] = CONTENT["payload/0"][:4000] + bytes(90) + CONTENT["payload/0"][4090:]
    assert dict(found) == expected
    for hidden in (tar.BLOCK + 5, 2 * tar.BLOCK - 1):
        changed = bytearray(data)
        changed[hidden] = 1
        with pytest.raises(MalformedError, match="hidden behind a file"):
            ArrivingArchive(io.BytesIO(bytes(changed))).read()


def test_slots_lie_one_behind_the_other() -> None:
    slots = lay_out(SIZES)
    positions = [slot.data_offset - len(slot.front) for slot in slots.values()]
    assert positions == [0, *(slot.end for slot in list(slots.values())[:-1])]
    assert [slot.size for slot in slots.values()] == list(SIZES.values())
    assert slots["payload/0"].data_offset % tar.ALIGNMENT == 0
    assert [tar.round_up(size) for size in (0, 1, 512, 513)] == [0, 512, 512, 1024]
