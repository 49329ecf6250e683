"""OpenSSF Model Signing's own tool, on a folder with the plain model."""

from __future__ import annotations

from pathlib import Path

from model_signing import verifying

from benches.peer import Peer, command, program_of_this_python, refuses_a_changed
from modelkeep.trust.signing_keys import create_signing_key


class Verify(Peer):
    """Through its Python interface, imports left out."""

    @property
    def model(self) -> Path:
        """The signed folder."""
        return self.folder / "model"

    def prepare(self) -> list[Path]:
        self.model.mkdir()
        copy = self.model / self.source.name
        copy.hardlink_to(self.source)
        (self.folder / "key.pub").write_bytes(create_signing_key(self.folder / "key.pem"))
        where = ("--signature", self.folder / "model.sig", "--private_key", self.folder / "key.pem")
        command(program_of_this_python("model_signing"), "sign", "key", self.model, *where)
        return [copy]

    def run(self) -> None:
        verifier = verifying.Config()  # type: ignore[no-untyped-call]
        verifier.use_elliptic_key_verifier(public_key=self.folder / "key.pub")
        verifier.verify(self.model, self.folder / "model.sig")

    def check(self) -> None:
        refuses_a_changed(self.model / self.source.name, self.run)


class VerifyCommand(Verify):
    """Through its command line, start-up included."""

    def run(self) -> None:
        keys = ("--signature", self.folder / "model.sig", "--public_key", self.folder / "key.pub")
        command(program_of_this_python("model_signing"), "verify", "key", self.model, *keys)
