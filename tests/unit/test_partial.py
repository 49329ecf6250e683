"""What a kill leaves behind goes with the next writer; what is being written stays."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from modelkeep import partial
from modelkeep.kept_file import KeptFile
from modelkeep.storage import Replacement, write_file

_WRITE = """
import sys
from modelkeep import partial
kept = partial.{kind}
print("written", flush=True)
sys.stdin.read()
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["Partial(target, mode=0o600)", "Partial(target)"], ids=["file", "folder"])
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is writing `model.keep` just now."""
    setup = f"from pathlib import Path; target = Path({str(tmp_path / 'model.keep')!r})\n"
    code = setup + _WRITE.format(kind=request.param)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        yield process
        process.kill()


def test_what_is_being_written_stays(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (being_written,) = names_in(tmp_path)
    write_file(tmp_path / "model.keep", b"whole")
    assert names_in(tmp_path) == [being_written, "model.keep"]


def test_what_a_kill_left_behind_goes(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    write_file(tmp_path / "other.keep", b"whole")
    assert len(names_in(tmp_path)) == 2
    write_file(tmp_path / "model.keep", b"whole")
    assert names_in(tmp_path) == ["model.keep", "other.keep"]


def test_who_locks_every_new_name_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "is_ours", lambda path, descriptor: False)
    new = partial.Partial(tmp_path / "model.keep", mode=0o600)
    assert len(names_in(tmp_path)) == partial._MOST_NAMES
    assert os.path.samestat(os.fstat(new.descriptor), new.path.stat())
    new.discard()
    assert names_in(tmp_path) == []


def test_what_somebody_else_holds_or_moved_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.touch()
    one, other = (os.open(path, os.O_RDWR) for _ in range(2))
    assert partial.is_ours(path, one)
    assert not partial.is_ours(path, other)
    path.rename(tmp_path / "moved")
    assert not partial.is_ours(path, one)
    os.close(one)
    os.close(other)


def test_a_second_name_of_a_finished_file_goes_alone(tmp_path: Path) -> None:
    target = tmp_path / "model.keep"
    write_file(target, b"whole")
    left = tmp_path / f".model.keep.{partial._host()}456789ab.part"
    left.hardlink_to(target)
    write_file(target, b"next", force=True)
    assert names_in(tmp_path) == ["model.keep"]
    assert target.read_bytes() == b"next"


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"dear")
    folder = tmp_path / "folder"
    folder.mkdir()
    host = partial._host()
    (folder / f".model.keep.{host}456789ab.part").symlink_to(outside)
    (folder / f".model.keep.{host}456789ac.part").symlink_to(outside / "file")
    (folder / f".model.keep.{host}456789AD.part").write_bytes(b"another's")
    (folder / f".model.keepx.{host}456789ab.part").write_bytes(b"another's")
    os.mkfifo(folder / f".model.keep.{host}456789af.part")
    looks_like_ours = folder / f".model.keep.{host}456789ae.part"
    (looks_like_ours / "below").mkdir(parents=True)
    (looks_like_ours / partial._MARK).symlink_to(outside / "file")
    before = names_in(folder)
    write_file(folder / "model.keep", b"whole")
    assert names_in(folder) == sorted([*before, "model.keep"])
    assert names_in(looks_like_ours) == [partial._MARK, "below"]
    assert (outside / "file").read_bytes() == b"dear"


@pytest.mark.parametrize("problem", ["open to others", "another name", "another user's"])
def test_what_is_kept_is_not_gone_on_with_where_it_could_be_anybodys(tmp_path: Path, problem: str) -> None:
    kept = KeptFile(tmp_path / "model.keep", "01234567")
    os.write(kept.descriptor, b"kept")
    path = kept.path
    kept.discard()
    if problem == "open to others":
        path.chmod(0o640)
    elif problem == "another name":
        (tmp_path / "installed").hardlink_to(path)
    elif os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    else:
        os.chown(path, 65534, 65534)
    kept = KeptFile(tmp_path / "model.keep", "01234567")
    assert os.fstat(kept.descriptor).st_size == 0
    kept.discard()


def test_a_name_that_somebody_foresaw_is_not_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / ".file.planted"
    planted.write_bytes(b"planted")
    monkeypatch.setattr(partial, "_name_beside", lambda _target: planted)
    with pytest.raises(FileExistsError):
        partial.Partial(tmp_path / "file", mode=0o600)


def test_one_that_was_taken_for_left_behind_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    taken: list[Path] = []

    def sweep_first(descriptor: int, how: int) -> None:
        if not taken:
            (path,) = tmp_path.iterdir()
            taken.append(path)
            path.rmdir() if path.is_dir() else path.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with Replacement(tmp_path / "file") as new:
        os.write(new.descriptor, b"whole")
        new.commit()
    assert (tmp_path / "file").read_bytes() == b"whole"
    (tmp_path / "file").unlink()
    taken.clear()
    folder = partial.Partial(tmp_path / "folder")
    assert folder.path.is_dir()
    folder.discard()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("mode", [0o600, None])
def test_an_interrupt_while_it_is_made_leaves_nothing(
    mode: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_descriptor: int, _how: int) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "flock", interrupt)
    with pytest.raises(KeyboardInterrupt):
        partial.Partial(tmp_path / "file", mode=mode)
    gc.collect()
    assert names_in(tmp_path) == []


def test_file_systems_without_locks_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _how: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    left = tmp_path / f".file.{partial._host()}456789ab.part"
    left.write_bytes(b"nobody can tell")
    write_file(tmp_path / "file", b"whole")
    assert names_in(tmp_path) == [left.name, "file"]


@pytest.mark.parametrize("age, stays", [(60, True), (7 * 86_400, False)])
def test_what_another_host_left_goes_when_it_is_old(tmp_path: Path, age: int, stays: bool) -> None:
    other = "0000" if partial._host() != "0000" else "1111"
    left = tmp_path / f".file.{other}456789ab.part"
    left.write_bytes(b"perhaps being written, where its lock is not seen")
    os.utime(left, (time.time() - age,) * 2)
    write_file(tmp_path / "file", b"whole")
    assert left.exists() == stays


def test_nobody_who_locks_new_files_holds_a_writer_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_descriptor: int, how: int) -> NoReturn:
        assert how & fcntl.LOCK_NB
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", busy)
    write_file(tmp_path / "file", b"whole")
    assert names_in(tmp_path) == ["file"]


def test_a_folder_that_is_gone_at_once_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir
    made: list[Path] = []

    def make_and_lose(path: Path, mode: int = 0o777) -> None:
        make(path, mode)
        if not made:
            path.rmdir()
        made.append(path)

    monkeypatch.setattr(Path, "mkdir", make_and_lose)
    new = partial.Partial(tmp_path / "folder")
    assert len(made) == 2 and new.path.is_dir()
    new.discard()
    assert names_in(tmp_path) == []


def test_a_forked_child_leaves_its_parents_file(tmp_path: Path) -> None:
    new = partial.Partial(tmp_path / "file", mode=0o600)
    child = os.fork()
    if child == 0:
        new.discard()
        os._exit(0)
    os.waitpid(child, 0)
    assert new.path.exists()
    new.discard()
    assert names_in(tmp_path) == []
