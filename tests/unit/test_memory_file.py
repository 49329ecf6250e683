from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelkeep.errors import UnavailableError, UsageError
from modelkeep.memory import MemoryFile
from support.descriptors import open_descriptors, settled_descriptors

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory need Linux")
CONTENT = b"weights!" * 1000


@pytest.fixture
def file() -> MemoryFile:
    made = MemoryFile.allocate(len(CONTENT))
    made.view[:] = CONTENT
    return made


def test_where_there_are_no_files_in_memory_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(UnavailableError, match="need Linux"):
        MemoryFile.allocate(1)


def test_its_path_opens_what_was_written(file: MemoryFile) -> None:
    assert Path(file.path).read_bytes() == CONTENT
    assert str(Path(file.path).readlink()).startswith("/memfd:")


def test_a_program_that_inherits_the_descriptor_can_read_it(file: MemoryFile) -> None:
    code = "import sys; print(len(open(sys.argv[1], 'rb').read()))"
    command = [sys.executable, "-c", code, file.path]
    found = subprocess.run(command, pass_fds=[file.descriptor], capture_output=True, text=True, check=True)
    assert int(found.stdout) == len(CONTENT)
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_nobody_else_can_write_or_resize_it(file: MemoryFile) -> None:
    descriptor = os.open(file.path, os.O_RDWR)
    for attempt in (
        lambda: os.pwrite(descriptor, b"x", 0),
        lambda: os.truncate(descriptor, 1),
        lambda: os.truncate(descriptor, 10**6),
        lambda: mmap.mmap(descriptor, 0),
    ):
        with pytest.raises(PermissionError):
            attempt()
    os.close(descriptor)
    assert Path(file.path).read_bytes() == CONTENT


def test_closing_wipes_it_for_those_who_have_it_open(file: MemoryFile) -> None:
    descriptor = os.dup(file.descriptor)
    file.close()
    file.close()
    assert os.pread(descriptor, len(CONTENT), 0) == bytes(len(CONTENT))
    os.close(descriptor)
    with pytest.raises(UsageError, match="closed"):
        _ = file.path


def test_closing_gives_the_descriptors_back() -> None:
    before = settled_descriptors()
    MemoryFile.allocate(100).close()
    assert open_descriptors() == before


def test_an_empty_file_is_fine() -> None:
    with MemoryFile.allocate(0) as empty:
        assert Path(empty.path).read_bytes() == b""
        assert len(empty.view) == 0


def test_a_forked_child_lets_go_without_harm_to_the_parent(file: MemoryFile) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if file.closed and file.descriptor not in open_descriptors() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Path(file.path).read_bytes() == CONTENT
