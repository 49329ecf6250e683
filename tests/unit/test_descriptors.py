"""What opens a file closes it, also where it refuses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from modelkeep import storage
from modelkeep.device import state_lock
from modelkeep.errors import KeepError
from modelkeep.kept_file import KeptFile
from modelkeep.partial import Partial
from modelkeep.private_file import read_private
from support.descriptors import open_descriptors, settled_descriptors


def enter(context: AbstractContextManager[object]) -> None:
    with context:
        pass


def kept_for_others(folder: Path) -> None:
    kept = KeptFile(folder / "model", "01234567")
    os.write(kept.descriptor, b"x")
    kept.path.chmod(0o644)
    kept.discard()
    KeptFile(folder / "model", "01234567").discard()


OPENING: dict[str, Callable[[Path], object]] = {
    "a folder is made": lambda folder: storage.make_folder(folder / "new" / "below"),
    "a folder is locked": lambda folder: enter(storage.folder_locked(folder / "file")),
    "a file is written": lambda folder: storage.write_file(folder / "written", b"content"),
    "a file is written again": lambda folder: storage.write_file(folder / "file", b"content", force=True),
    "a file is read": lambda folder: storage.read_small(folder / "file", 9, "a test"),
    "a file is too large": lambda folder: storage.read_small(folder / "file", 1, "a test"),
    "a file that cannot be read": lambda _folder: storage.read_small("/proc/self/mem", 9, "a test"),
    "a folder is read": lambda folder: storage.read_small(folder, 9, "a test"),
    "a pipe is read": lambda folder: storage.read_small(folder / "pipe", 9, "a test"),
    "a key is read": lambda folder: enter(read_private(str(folder / "file"))),
    "a key that others may read": lambda folder: enter(read_private(str(folder / "open"))),
    "a state is locked": lambda folder: enter(state_lock.locked(folder / "one.lock")),
    "a file is kept": lambda folder: KeptFile(folder / "model", "01234567").discard(),
    "a file that is kept is open to others": kept_for_others,
    "a folder is begun": lambda folder: Partial(folder / "begun").discard(),
}


@pytest.mark.parametrize("what", OPENING)
def test_nothing_stays_open(tmp_path: Path, what: str) -> None:
    for name, mode in (("file", 0o600), ("open", 0o644)):
        (tmp_path / name).write_bytes(b"content")
        (tmp_path / name).chmod(mode)
    os.mkfifo(tmp_path / "pipe")
    before = settled_descriptors()
    with contextlib.suppress(KeepError):
        OPENING[what](tmp_path)
    assert open_descriptors() == before
