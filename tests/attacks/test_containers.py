"""Archives and folders that other readers would read differently."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelkeep.bundle.bundle import Bundle
from modelkeep.container import tar
from modelkeep.errors import MalformedError, SignatureError, StorageError, TamperedError
from support.attacker import Forgery, archive
from support.workshop import Workshop

END = 1024
BLOCK = 512
NAME, SIZE, KIND, LINK, MAGIC, PREFIX = 0, 124, 156, 157, 257, 345


def _member(name: str, content: bytes = b"", kind: bytes = b"0") -> bytes:
    """Returns a member as any tar writes it."""
    header = _edited(tar.header(name, len(content)), KIND, kind)
    return header + content + bytes(-len(content) % BLOCK)


def _edited(header: bytes, offset: int, field: bytes) -> bytes:
    """Returns a header with one field replaced and a checksum that fits."""
    changed = bytearray(header)
    changed[offset : offset + len(field)] = field
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def _edit_first_header(data: bytes, offset: int, field: bytes) -> bytes:
    return _edited(data[:BLOCK], offset, field) + data[BLOCK:]


def _front(data: bytes, extra: bytes) -> bytes:
    return extra + data


def _back(data: bytes, extra: bytes) -> bytes:
    return data[:-END] + extra + data[-END:]


def _size(data: bytes) -> int:
    size = tar.parse_size(data[:BLOCK])
    assert size is not None
    return size


def _base256(data: bytes) -> bytes:
    return b"\x80" + _size(data).to_bytes(11, "big")


def _first_member(data: bytes) -> bytes:
    return data[: BLOCK + tar.round_up(_size(data))]


def _dirty_padding(data: bytes) -> bytes:
    end = BLOCK + _size(data)
    assert data[end] == 0
    return data[:end] + b"\1" + data[end + 1 :]


def _without_padding(data: bytes) -> bytes:
    start = data.index(b"pad\0")
    size = tar.parse_size(data[start : start + BLOCK])
    assert size is not None
    return data[:start] + data[start + BLOCK + size :]


PAX_PATH = b"26 path=../../etc/passwd1\n"
ELSEWHERE = b"../" * 40 + b"etc/passwd\0"

TRICKS: dict[str, Callable[[bytes], bytes]] = {
    "symbolic link": lambda data: _back(data, _edited(_member("grants/1", kind=b"2"), LINK, b"/etc/passwd")),
    "hard link": lambda data: _back(data, _edited(_member("grants/1", kind=b"1"), LINK, b"manifest.json")),
    "device": lambda data: _back(data, _member("grants/1", kind=b"3")),
    "folder": lambda data: _front(data, _member("payload/", kind=b"5")),
    "old file type": lambda data: _edit_first_header(data, KIND, b"\0"),
    "contiguous file": lambda data: _edit_first_header(data, KIND, b"7"),
    "climbing name": lambda data: _back(data, _member("../evil", b"x")),
    "absolute name": lambda data: _back(data, _member("/etc/cron.d/evil", b"x")),
    "climbing out of a section": lambda data: _back(data, _member("grants/../../evil", b"x")),
    "other spelling": lambda data: _edit_first_header(data, NAME, b"./manifest.json"),
    "number with zeros": lambda data: _back(data, _member("grants/01", b"x")),
    "unknown file": lambda data: _back(data, _member("README", b"x")),
    "name behind a zero": lambda data: _edit_first_header(data, NAME, b"manifest.json\0evil"),
    "prefix": lambda data: _edit_first_header(data, PREFIX, b"elsewhere"),
    "long name before": lambda data: _front(data, _member("././@LongLink", ELSEWHERE, b"L")),
    "long link before": lambda data: _front(data, _member("././@LongLink", ELSEWHERE, b"K")),
    "path override": lambda data: _front(data, _member("pad", PAX_PATH, b"x")),
    "global override": lambda data: _front(data, _member("pad", PAX_PATH, b"g")),
    "sparse file": lambda data: _edit_first_header(data, KIND, b"S"),
    "size in base 256": lambda data: _edit_first_header(data, SIZE, _base256(data)),
    "size in spaces": lambda data: _edit_first_header(data, SIZE, b"%11o " % _size(data)),
    "size with a sign": lambda data: _edit_first_header(data, SIZE, b"+%010o\0" % _size(data)),
    "negative size": lambda data: _edit_first_header(data, SIZE, b"\xff" * 12),
    "monstrous size": lambda data: _edit_first_header(data, SIZE, b"\x80" + b"\xff" * 11),
    "size beyond the end": lambda data: _edit_first_header(data, SIZE, b"77777777777\0"),
    "old GNU magic": lambda data: _edit_first_header(data, MAGIC, b"ustar  \0"),
    "no magic": lambda data: _edit_first_header(data, MAGIC, bytes(8)),
    "checksum": lambda data: data[:148] + b"0000000\0" + data[156:],
    "checksum in other words": lambda data: data[:148] + data[149:154] + b"\0 " + data[155:156] + data[156:],
    "same file twice": lambda data: _front(data, _first_member(data)),
    "manifest at the end": lambda data: _back(data[len(_first_member(data)) :], _first_member(data)),
    "data behind the end": lambda data: data + bytes(BLOCK),
    "text behind the end": lambda data: data + b"hello".ljust(BLOCK),
    "second archive behind": lambda data: data + data,
    "end without second block": lambda data: data[:-BLOCK],
    "no end": lambda data: data[:-END],
    "end too early": lambda data: bytes(END) + data,
    "bytes between end blocks": lambda data: data[:-BLOCK] + b"\1" + bytes(BLOCK - 1),
    "bytes in the padding of a file": _dirty_padding,
    "no alignment": _without_padding,
}


@pytest.mark.parametrize("trick", TRICKS)
def test_an_archive_with_two_readings_is_refused(workshop: Workshop, trick: str) -> None:
    genuine = workshop.seal().read_bytes()
    path = workshop.folder / "trick.keep"
    path.write_bytes(TRICKS[trick](genuine))
    assert path.read_bytes() != genuine
    with pytest.raises(MalformedError):
        Bundle(path)


@pytest.mark.parametrize("name", ["leaves/1", "payload/1", "grants/0"])
def test_numbers_that_are_left_out_are_refused(workshop: Workshop, name: str) -> None:
    files = Forgery(workshop.seal()).files
    renamed = {(f"{name[:-1]}7" if key == name else key): content for key, content in files.items()}
    (workshop.folder / "gap.keep").write_bytes(archive(renamed))
    with pytest.raises(MalformedError, match="out of order"):
        Bundle(workshop.folder / "gap.keep")


def _unpack(forgery: Forgery, folder: Path) -> Path:
    for name, content in forgery.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _move_aside(folder: Path, name: str) -> Path:
    return (folder / name).rename(folder.parent / "elsewhere")


def _link_file(folder: Path) -> None:
    (folder / "payload/1").symlink_to(_move_aside(folder, "payload/1"))


def _link_folder(folder: Path) -> None:
    (folder / "payload").symlink_to(_move_aside(folder, "payload"), target_is_directory=True)


def _add_file(folder: Path) -> None:
    (folder / "README").write_bytes(b"x")


def _add_deep_file(folder: Path) -> None:
    (folder / "payload/more").mkdir()
    (folder / "payload/more/1").write_bytes(b"x")


def _add_pipe(folder: Path) -> None:
    os.mkfifo(folder / "grants/1")


def _pipe_instead(folder: Path) -> None:
    _move_aside(folder, "payload/1")
    os.mkfifo(folder / "payload/1")


def _spell_differently(folder: Path) -> None:
    (folder / "payload/1").rename(folder / "payload/01")


def _add_odd_name(folder: Path) -> None:
    Path(os.fsdecode(bytes(folder / "payload") + b"/\xff\x1b[2J")).write_bytes(b"x")


@pytest.mark.parametrize(
    "change",
    [_link_file, _link_folder, _add_file, _add_deep_file, _add_pipe, _spell_differently, _add_odd_name],
)
def test_a_folder_with_anything_else_in_it_is_refused(
    workshop: Workshop, change: Callable[[Path], None]
) -> None:
    folder = _unpack(Forgery(workshop.seal()), workshop.folder / "folder")
    workshop.open(folder).close()
    change(folder)
    with pytest.raises(MalformedError):
        Bundle(folder)


@pytest.mark.parametrize("replace", [_link_file, _pipe_instead], ids=["link", "pipe"])
def test_a_file_replaced_by_something_else_after_opening_is_refused(
    workshop: Workshop, replace: Callable[[Path], None]
) -> None:
    folder = _unpack(Forgery(workshop.seal()), workshop.folder / "folder")
    with Bundle(folder) as bundle:
        verified = bundle.verify(workshop.verifier())
        replace(folder)
        with pytest.raises(StorageError, match="payload/1"):
            verified.check_digests()


@pytest.mark.parametrize("kind", ["pipe", "device", "empty"])
def test_what_is_not_a_bundle_is_refused_without_waiting(workshop: Workshop, kind: str) -> None:
    path = workshop.folder / "odd.keep"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
    with pytest.raises(MalformedError):
        workshop.open(path)


def test_further_signatures_do_not_replace_the_first(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["signatures/0"] = forgery.files.pop("model.sig")
    with pytest.raises(SignatureError, match="not signed"):
        workshop.open(forgery.write(workshop.folder / "moved.keep"))


def test_an_added_grant_section_is_no_payload(workshop: Workshop) -> None:
    forgery = Forgery(workshop.seal())
    forgery.files["grants/1"] = forgery.files["payload/1"]
    del forgery.files["payload/1"], forgery.files["leaves/1"]
    with pytest.raises((TamperedError, MalformedError)):
        workshop.open(forgery.write(workshop.folder / "moved.keep"))
