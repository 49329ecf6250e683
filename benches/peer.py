"""What every contestant implements, and the few helpers they share."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from blake3 import blake3

PIECE = 2**20
SOURCE = "model.bin"


class Peer(ABC):
    """One contestant in one table, working in a folder of its own.

    `prepare` runs once, in its own process. Every sample is a fresh process, in which `ready`,
    `run` and `check` follow each other; only `run` is timed. Libraries are imported with the
    peer's module and so outside the timed part.

    Attributes:
        folder: the peer's own folder.
        source: the plain file that all peers of a table share.
        output: what `run` writes, if anything; removed after every sample.
        detail: a few words for the table, set by `check`.
    """

    programs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.source = folder.parent / SOURCE
        self.output = folder / "output"
        self.size = size
        self.detail = ""

    @abstractmethod
    def prepare(self) -> list[Path]:
        """Makes keys and inputs; returns the files that `run` reads."""

    def ready(self) -> None:  # noqa: B027 (most peers have nothing to do here)
        """Does what the table leaves out of the timed part."""

    @abstractmethod
    def run(self) -> None:
        """The timed part."""

    @abstractmethod
    def check(self) -> None:
        """Raises unless `run` did the whole work and did it right."""

    @classmethod
    def missing_programs(cls) -> list[str]:
        """Returns the programs that this peer needs and this machine does not have."""
        return [name for name in cls.programs if shutil.which(name) is None]


def fresh_huge_pages(size: int) -> mmap.mmap:
    """Returns new private memory of which nothing is there yet, in huge pages where the system has them."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def same_content(found: Any, source: Path) -> None:
    """Raises unless the buffer `found` holds exactly what the file `source` holds."""
    expected = blake3().update_mmap(source).digest()
    if blake3(found, max_threads=blake3.AUTO).digest() != expected:
        raise ValueError("the result is not the original")


def same_file(found: Path, source: Path) -> None:
    """Raises unless both files hold the same bytes."""
    if blake3().update_mmap(found).digest() != blake3().update_mmap(source).digest():
        raise ValueError("the result is not the original")


def refuses_a_changed(path: Path, run: Callable[[], None]) -> None:
    """Raises unless `run`, which accepted the file `path` before, refuses it with one bit changed."""
    position = path.stat().st_size // 2
    _flip(path, position)
    try:
        run()
    except Exception:  # each peer refuses in its own words
        return
    finally:
        _flip(path, position)
    raise ValueError("a changed file was accepted")


def _flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def make_durable(path: Path) -> None:
    """Syncs a file and its folder, which is what modelkeep always does when it writes."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_all_into(stream: Any, view: memoryview) -> None:
    """Fills `view` from a stream in pieces of 1 MiB, and raises if the stream is longer or shorter."""
    position = 0
    while position < len(view):
        count = stream.readinto(view[position : position + PIECE])
        if not count:
            raise ValueError("the stream ends early")
        position += count
    if stream.read(1):
        raise ValueError("the stream goes on")


def command(*words: str | Path, **options: Any) -> None:
    """Runs a program quietly; raises with the end of what it said when it fails."""
    settings: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
    result = subprocess.run([*map(str, words)], check=False, **settings)
    if result.returncode:
        said = (result.stderr or b"").decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"{words[0]} failed: {said[-1] if said else result.returncode}")


def program_of_this_python(name: str) -> Path:
    """Returns a program that is installed next to the running Python."""
    return Path(sys.executable).with_name(name)
