"""pyrage, age's Rust implementation as a Python package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]

from benches.cipher import FileCipher, Opening, Sealing
from benches.peer import make_durable


class Pyrage(FileCipher):
    def identity(self) -> Any:
        """Returns the stored key."""
        return pyrage.x25519.Identity.from_str((self.folder / "device.age").read_text())

    def seal(self, target: Path) -> None:
        pyrage.encrypt_file(str(self.source), str(target), [self.identity().to_public()])
        make_durable(target)

    def open(self, sealed: Path) -> Any:
        return pyrage.decrypt(sealed.read_bytes(), [self.identity()])

    def make_keys(self) -> None:
        (self.folder / "device.age").write_text(str(pyrage.x25519.Identity.generate()))


class Open(Opening, Pyrage):
    """Sealed file -> memory."""


class Seal(Sealing, Pyrage):
    """File -> sealed file."""
