"""Files: complete or not at all, and every failure in words."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from modelkeep.errors import StorageError, UsageError
from modelkeep.storage import Replacement, is_read_only, named, read_small, words_for, write_at, write_file
from support.disk import largest_file


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_a_whole_file_with_its_mode(tmp_path: Path) -> None:
    write_file(tmp_path / "new", b"content", mode=0o600)
    assert (tmp_path / "new").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["new"]


def test_keeps_an_existing_file_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already") as caught:
        write_file(target, b"new")
    assert caught.value.hint is not None
    assert target.read_bytes() == b"old"
    write_file(target, b"new", force=True)
    assert target.read_bytes() == b"new"
    assert names_in(tmp_path) == ["file"]


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists already"):
        write_file(tmp_path / "link", b"new")


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with Replacement(target) as new:
        target.write_bytes(b"somebody else's")
        with pytest.raises(UsageError, match="exists already"):
            new.commit()
    assert target.read_bytes() == b"somebody else's"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("target", [".", "/", "..", "/dev/null"])
@pytest.mark.parametrize("force", [False, True])
def test_replaces_nothing_but_files(target: str, force: bool) -> None:
    with pytest.raises(UsageError):
        write_file(target, b"", force=force)


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with Replacement(tmp_path / "file") as new:
        os.write(new.descriptor, b"half")
        assert len(names_in(tmp_path)) == 1
    assert names_in(tmp_path) == []


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with largest_file(1000), pytest.raises(StorageError, match="file too large"):
        write_file(target, bytes(5000), force=True)
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["n" * 255, "ж" * 127, "😀" * 63])
def test_names_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


@pytest.mark.parametrize("name", ["n" * 256, "missing/file"])
def test_places_that_do_not_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError) as caught:
        write_file(tmp_path / name, b"content")
    assert name in str(caught.value)
    assert names_in(tmp_path) == []


def test_works_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_file(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    with Replacement(tmp_path / "other") as new:
        (tmp_path / "other").write_bytes(b"first")
        with pytest.raises(UsageError, match="exists already"):
            new.commit()
    assert (tmp_path / "other").read_bytes() == b"first"
    assert names_in(tmp_path) == ["file", "other"]


def test_reads_small_files_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10))
    assert read_small(tmp_path / "file", 10, "a test") == bytes(10)
    with pytest.raises(StorageError, match="too large for a test"):
        read_small(tmp_path / "file", 9, "a test")
    with pytest.raises(StorageError, match="no such file") as caught:
        read_small(tmp_path / "none", 9, "a test")
    assert caught.value.hint == "check the path"
    with pytest.raises(StorageError, match="is a directory"):
        read_small(tmp_path, 9, "a test")


def test_all_is_written_at_its_place_whatever_pieces_the_system_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, content = os.pwrite, bytes(range(1, 100))
    monkeypatch.setattr(os, "pwrite", lambda to, data, offset: really(to, data[:7], offset))
    with (tmp_path / "file").open("wb") as file:
        write_at(file.fileno(), memoryview(content), 10)
    assert (tmp_path / "file").read_bytes() == bytes(10) + content


@pytest.mark.parametrize(("number", "is_so"), [(errno.EROFS, True), (errno.ENOSPC, False)])
def test_a_disk_that_nobody_can_write_is_told_from_a_full_one(number: int, is_so: bool) -> None:
    with pytest.raises(StorageError) as caught, words_for("file"):
        raise OSError(number, "no")
    assert is_read_only(caught.value) is is_so
    assert not is_read_only(StorageError("of no system call"))


@pytest.mark.parametrize("said", ["is damaged", "a/file: is damaged"])
def test_errors_name_the_file_that_they_are_about_once(said: str) -> None:
    with pytest.raises(StorageError) as caught, named("a/file"):
        raise StorageError(said)
    assert str(caught.value) == "a/file: is damaged"


def test_errors_without_a_number_have_words_too() -> None:
    with pytest.raises(StorageError, match=r"^here: something odd$") as caught, words_for("here"):
        raise OSError("Something odd")
    assert caught.value.hint is None
