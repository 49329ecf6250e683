"""No protection at all: reading, copying memory, copying files. What the machine can do."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from pathlib import Path

from benches.peer import Peer, fresh_huge_pages, make_durable, same_content, same_file


class Read(Peer):
    """`file.read()`: a plain file -> bytes."""

    def prepare(self) -> list[Path]:
        return [self.source]

    def run(self) -> None:
        with self.source.open("rb") as file:
            self.content = file.read()

    def check(self) -> None:
        same_content(self.content, self.source)


class CopyMemory(Peer):
    """Memory -> fresh huge pages, on as many threads as there are processors; no file at all."""

    def prepare(self) -> list[Path]:
        return [self.source]

    def ready(self) -> None:
        self.original = self.source.read_bytes()

    def run(self) -> None:
        self.copy = fresh_huge_pages(self.size)
        count = len(os.sched_getaffinity(0))
        # Whole pieces each, so that no two threads meet in a huge page.
        share = -(-self.size // count // 2**21) * 2**21
        threads = [threading.Thread(target=self._copy, args=(start, share)) for start in self._starts(share)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _starts(self, share: int) -> range:
        return range(0, self.size, share)

    def _copy(self, start: int, share: int) -> None:
        source = ctypes.cast(ctypes.c_char_p(self.original), ctypes.c_void_p).value or 0
        target = ctypes.addressof(ctypes.c_char.from_buffer(self.copy))
        ctypes.memmove(target + start, source + start, min(share, self.size - start))

    def check(self) -> None:
        same_content(self.copy, self.source)


class CopyFile(Peer):
    """`cat`: file -> file."""

    programs = ("cat",)

    def prepare(self) -> list[Path]:
        return [self.source]

    def run(self) -> None:
        with self.output.open("wb") as file:
            subprocess.run(["cat", self.source], stdout=file, check=True)
        make_durable(self.output)

    def check(self) -> None:
        same_file(self.output, self.source)


class ReadAway(Peer):
    """`cat` to /dev/null: every byte is read, none is looked at."""

    programs = ("cat",)

    def prepare(self) -> list[Path]:
        return [self.source]

    def run(self) -> None:
        subprocess.run(["cat", self.source], stdout=subprocess.DEVNULL, check=True)

    def check(self) -> None:
        if self.source.stat().st_size != self.size:
            raise ValueError("the file is not the whole one")
