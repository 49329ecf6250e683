"""The age command, whose output a program takes through a pipe."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benches.cipher import FileCipher, Opening, Sealing
from benches.peer import PIECE, command, make_durable, read_all_into


class Age(FileCipher):
    programs = ("age", "age-keygen")

    @property
    def identity(self) -> Path:
        """Where the X25519 key is."""
        return self.folder / "device.age"

    def seal(self, target: Path) -> None:
        command("age", "-e", "-i", self.identity, "-o", target, self.source)
        make_durable(target)

    def open(self, sealed: Path) -> bytearray:
        """Returns the plaintext, read from the command's output."""
        plain = bytearray(self.size)
        words: list[str | Path] = ["age", "-d", "-i", self.identity, sealed]
        with subprocess.Popen(words, stdout=subprocess.PIPE, bufsize=0, pipesize=PIECE) as process:
            read_all_into(process.stdout, memoryview(plain))
        if process.returncode:
            raise RuntimeError("age failed")
        return plain

    def make_keys(self) -> None:
        command("age-keygen", "-o", self.identity)


class Open(Opening, Age):
    """Sealed file -> memory."""


class Seal(Sealing, Age):
    """File -> sealed file."""
