"""Files by their descriptors: what is asked of the system, what is let go, and whose locks are waited for."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelkeep import partial, private_file, storage
from modelkeep.container.folder import Folder
from modelkeep.errors import KeyStoreError, StorageError, UnavailableError, UsageError
from modelkeep.extraction import _create
from support.descriptors import open_descriptors, settled_descriptors


def test_what_is_opened_never_waits_and_is_closed_when_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    before = settled_descriptors()
    for path, flags in ((tmp_path / "file", os.O_RDWR), (tmp_path / "empty", os.O_RDONLY)):
        descriptor = storage.open_regular(path, flags)
        found = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        assert found & os.O_NONBLOCK
        assert found & os.O_ACCMODE == flags
        os.close(descriptor)
    for refused, words in (
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/proc/self/stat"), "is made by the kernel"),
        (Path("a\0b"), "a zero byte is in no name of a file"),
    ):
        with pytest.raises(StorageError, match=words):
            storage.open_regular(refused)
    assert open_descriptors() == before


def test_a_new_file_has_the_mode_that_is_asked_for_or_the_usual_one(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        os.close(storage.open_regular(tmp_path / "file", os.O_WRONLY | os.O_CREAT))
        storage.write_file(tmp_path / "written", b"")
        with storage.Replacement(tmp_path / "replaced") as new:
            new.commit()
        storage.make_folder(tmp_path / "folder")
        storage.make_folder(tmp_path / "open", 0o755)
        (tmp_path / "target").mkdir()
        folder = os.open(tmp_path / "target", os.O_DIRECTORY)
        os.close(_create(folder, "below/file"))
        os.close(folder)
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {
        "written": 0o644,
        "replaced": 0o644,
        "folder": 0o700,
        "open": 0o755,
        "target": 0o777,
        "below": 0o700,
        "file": 0o600,
    }
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_file_that_is_only_written_is_not_read_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    descriptor = storage.open_regular(tmp_path / "file", os.O_WRONLY)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "can be written to"),
        (errno.EACCES, "check the permissions"),
        (errno.ENOENT, "check the path"),
        (errno.EIO, "dm-verity"),
        (errno.EXDEV, None),
    ],
)
def test_what_to_do_about_an_error(tmp_path: Path, number: int, hint: str | None) -> None:
    with pytest.raises(StorageError) as caught, storage.words_for(tmp_path / "file"):
        raise OSError(number, "Some Reason")
    assert str(caught.value) == f"{tmp_path / 'file'}: some reason"
    assert hint in (caught.value.hint or "") if hint else caught.value.hint is None


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    for number, hint in ((errno.ENOENT, f"there is no folder {path.parent}"), (errno.EXDEV, None)):
        with pytest.raises(StorageError) as caught, storage.words_for(path):
            raise OSError(number, "no")
        assert caught.value.hint == hint


def test_somebody_who_holds_a_lock_is_waited_for_so_long_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += 15

    monkeypatch.setattr(storage, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    with (tmp_path / "file").open() as one, (tmp_path / "file").open() as other:
        storage.wait_for_lock(one.fileno(), "file")
        assert slept == []
        with pytest.raises(UnavailableError, match="file: another process has held its lock for 30 seconds"):
            storage.wait_for_lock(other.fileno(), "file")
        # At 115 and at 130 seconds once more, and not at 145.
        assert len(slept) == 3
        with pytest.raises(UsageError, match="taken"):
            storage.lock_now(other.fileno(), UsageError("taken"))
    with (tmp_path / "file").open() as one, (tmp_path / "file").open() as other:
        storage.lock_now(one.fileno(), UsageError("taken"))
        with pytest.raises(UnavailableError):
            storage.wait_for_lock(other.fileno(), "file")
    with (
        storage.folder_locked(tmp_path / "a"),
        pytest.raises(UnavailableError),
        storage.folder_locked(tmp_path / "b"),
    ):
        raise AssertionError
    with storage.folder_locked(tmp_path / "a"):
        pass


def test_folders_alone_are_locked_and_synced(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = settled_descriptors()
    with pytest.raises(NotADirectoryError):
        storage.sync_folder(tmp_path / "file")
    for beside in (tmp_path / "file" / "a", tmp_path / "none" / "a"):
        with pytest.raises(StorageError), storage.folder_locked(beside):
            raise AssertionError
    storage.sync_folder(tmp_path)
    with storage.folder_locked(tmp_path / "a"):
        pass
    assert open_descriptors() == before


def test_each_folder_that_is_made_is_synced_into_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(storage, "sync_folder", synced.append)
    storage.make_folder(tmp_path / "one" / "two")
    assert synced == [tmp_path / "one", tmp_path]
    storage.make_folder(tmp_path / "one" / "two")
    assert len(synced) == 2


def test_a_large_small_file_is_read_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 600
    (tmp_path / "file").write_bytes(content)
    assert storage.read_small(tmp_path / "file", len(content), "a test") == content
    with pytest.raises(StorageError, match="too large"):
        storage.read_small(tmp_path / "file", len(content) - 1, "a test")


def test_keys_are_read_by_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"s" * private_file.LARGEST_KEY_FILE)
    path.chmod(0o600)
    os.mkfifo(tmp_path / "pipe", 0o600)
    before = settled_descriptors()
    with private_file.read_private(str(path)) as content:
        assert len(content) == private_file.LARGEST_KEY_FILE
    with (
        pytest.raises(KeyStoreError, match="not a regular file"),
        private_file.read_private(str(tmp_path / "pipe")),
    ):
        raise AssertionError
    with path.open("ab") as file:
        file.write(b"s")
    with pytest.raises(KeyStoreError, match="too large"), private_file.read_private(str(path)):
        raise AssertionError
    path.write_bytes(b"secret")
    mounted = [False]
    monkeypatch.setattr(private_file, "_is_mounted_read_only", lambda _descriptor: mounted[0])
    for mode, is_mounted, words in (
        (0o600, False, ""),
        (0o700, False, ""),
        (0o640, True, ""),
        (0o640, False, "others may read or change"),
        (0o620, True, "more than this user and its group"),
        (0o604, True, "more than this user and its group"),
        (0o601, False, "others may"),
        (0o610, False, "others may"),
    ):
        path.chmod(mode)
        mounted[0] = is_mounted
        try:
            with private_file.read_private(str(path)) as content:
                assert (bytes(content), words) == (b"secret", "")
        except KeyStoreError as error:
            assert words, mode
            assert words in str(error)
    path.write_bytes(b"hpke-p256 AAAA pi-17\n")
    with pytest.raises(KeyStoreError, match="not a private key"), private_file.read_private(str(path)):
        raise AssertionError
    path.chmod(0o600)
    if os.getuid() == 0:
        os.chown(path, 12_345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyStoreError, match="belongs to another user"), private_file.read_private(str(path)):
        raise AssertionError
    assert open_descriptors() == before


def test_names_of_what_is_being_written() -> None:
    target = Path("/folder") / ("n" * 60)
    found = partial.name_beside(target, "01234567", "part")
    assert found == Path("/folder") / f".{'n' * 50}.{partial._host()}01234567.part"
    assert len(partial._host()) == 4
    assert partial._was_made_here(found.name)
    assert not partial._was_made_here(found.name.replace(f".{partial._host()}", ".zzzz"))


def test_a_folder_as_a_bundle_lets_go_of_what_it_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = settled_descriptors()
    with pytest.raises(StorageError):
        Folder(tmp_path / "file")
    assert open_descriptors() == before
