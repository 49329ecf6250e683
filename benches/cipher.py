"""Peers that seal files and open them again, seen from both sides."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from benches.peer import Peer, same_content


class FileCipher(Peer):
    """Turns a plain file into a sealed one and back; mixed with `Opening` or `Sealing`."""

    @property
    def sealed(self) -> Path:
        """Where the prepared sealed file is."""
        return self.folder / "model.sealed"

    @abstractmethod
    def make_keys(self) -> None:
        """Leaves in the peer's folder whatever sealing and opening need."""

    @abstractmethod
    def seal(self, target: Path) -> None:
        """Seals the source into `target` and makes it durable."""

    @abstractmethod
    def open(self, sealed: Path) -> Any:
        """Returns the plaintext of a sealed file, a buffer of `self.size` bytes."""


class Opening(FileCipher):
    """Sealed file -> plaintext in memory."""

    def prepare(self) -> list[Path]:
        self.make_keys()
        self.seal(self.sealed)
        return [self.sealed]

    def run(self) -> None:
        self.plaintext = self.open(self.sealed)

    def check(self) -> None:
        same_content(self.plaintext, self.source)


class Sealing(FileCipher):
    """Plain file -> sealed file."""

    def prepare(self) -> list[Path]:
        self.make_keys()
        return [self.source]

    def run(self) -> None:
        self.seal(self.output)

    def check(self) -> None:
        same_content(self.open(self.output), self.source)
