"""`openssl dgst`: one SHA-256 over the file and a plain signature."""

from __future__ import annotations

from pathlib import Path

from benches.peer import Peer, command, refuses_a_changed


class Verify(Peer):
    """`openssl dgst -sha256 -verify`, start-up included."""

    programs = ("openssl",)

    def prepare(self) -> list[Path]:
        key, public = self.folder / "key.pem", self.folder / "key.pub"
        command("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        command("openssl", "ec", "-in", key, "-pubout", "-out", public)
        command("openssl", "dgst", "-sha256", "-sign", key, "-out", self.folder / "signature", self.source)
        return [self.source]

    def run(self) -> None:
        keys = ("-verify", self.folder / "key.pub", "-signature", self.folder / "signature")
        command("openssl", "dgst", "-sha256", *keys, self.source)

    def check(self) -> None:
        refuses_a_changed(self.source, self.run)
