"""A device whose key is in hardware, with a disk that can be kept and brought back."""

from __future__ import annotations

import shutil
from pathlib import Path

from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.keys.identity import Identity
from modelkeep.keys.registry import create_key
from modelkeep.session import Session
from modelkeep.updates.installation import install
from support.states import path_of
from support.workshop import Workshop


class Device:
    """A device with a key.

    Args:
        workshop: seals for it.
        folder: where its disk is.
        key: the key's URI, made here; by default one in the TPM, its file on the disk.
    """

    def __init__(self, workshop: Workshop, folder: Path, key: str | None = None) -> None:
        self._workshop = workshop
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.key = key or f"tpm2:{self.disk / 'device.tpm'}"
        recipient = create_key(self.key)
        assert isinstance(recipient, HpkeRecipient)
        self.recipient = recipient
        self.state = path_of(self.identity())
        self.installed = self.disk / "installed.keep"

    def identity(self) -> Identity:
        return Identity(self.key)

    def seal(self, epoch: int, weight: float = 2.0) -> Path:
        source = self._workshop.model(weight)
        return self._workshop.seal(source, epoch=epoch, to=[self.recipient])

    def install(self, epoch: int) -> Path:
        """Seals a model and installs it; returns the bundle."""
        bundle = self.seal(epoch)
        verifier = self._workshop.verifier()
        install(bundle, self.installed, identity=self.identity(), verifier=verifier, force=True)
        return bundle

    def session(self) -> Session:
        return self._workshop.open(self.installed, identity=self.identity())

    def open(self) -> None:
        self.session().close()

    def keep_disk(self) -> Path:
        kept = self.disk.with_name("kept")
        for name, folder in self._folders().items():
            shutil.copytree(folder, kept / name)
        return kept

    def bring_back(self, kept: Path) -> None:
        for name, folder in self._folders().items():
            shutil.rmtree(folder)
            shutil.copytree(kept / name, folder)

    def _folders(self) -> dict[str, Path]:
        return {"disk": self.disk, "states": self.state.parent}
