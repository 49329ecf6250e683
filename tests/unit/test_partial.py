"""What a kill leaves behind goes with the next writer; what is being written stays."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from modelkeep import partial
from modelkeep.storage import Replacement, write_file

_WRITE = """
import sys
from modelkeep import partial
partial.{kind}
print("written", flush=True)
sys.stdin.read()
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["new_file(target, 0o600)", "new_folder(target)"], ids=["file", "folder"])
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


def test_a_second_name_of_a_finished_file_goes_alone(tmp_path: Path) -> None:
    target = tmp_path / "model.keep"
    write_file(target, b"whole")
    (tmp_path / ".model.keep.0123456789ab.part").hardlink_to(target)
    write_file(target, b"next", force=True)
    assert names_in(tmp_path) == ["model.keep"]
    assert target.read_bytes() == b"next"


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"dear")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".model.keep.0123456789ab.part").symlink_to(outside)
    (folder / ".model.keep.0123456789ac.part").symlink_to(outside / "file")
    (folder / ".model.keep.0123456789AD.part").write_bytes(b"another's")
    (folder / ".model.keepx.0123456789ab.part").write_bytes(b"another's")
    os.mkfifo(folder / ".model.keep.0123456789af.part")
    before = names_in(folder)
    write_file(folder / "model.keep", b"whole")
    assert names_in(folder) == sorted([*before, "model.keep"])
    assert (outside / "file").read_bytes() == b"dear"


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
    folder, descriptor = partial.new_folder(tmp_path / "folder")
    os.close(descriptor)
    assert folder.is_dir()


def test_file_systems_without_locks_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _how: int) -> NoReturn:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    left = tmp_path / ".file.0123456789ab.part"
    left.write_bytes(b"nobody can tell")
    write_file(tmp_path / "file", b"whole")
    assert names_in(tmp_path) == [left.name, "file"]
