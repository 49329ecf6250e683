"""The documents in front of everything else, as they were received."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from modelkeep.container import names
from modelkeep.container.files import Files


class Front(NamedTuple):
    """What a signature is verified over, and what verifies it: read once, passed on as it was verified.

    A file can change while it is open, so that whoever needs these bytes again takes them from here.

    Attributes:
        manifest: `manifest.json`.
        signature: `model.sig`, or None where there is none.
        second: `signatures/0`, or None.
    """

    manifest: bytes
    signature: bytes | None
    second: bytes | None

    @staticmethod
    def of(files: Files) -> Front:
        """Reads the front of something that is open.

        Raises:
            StorageError: cannot be read.
        """
        return Front(
            files.read(names.MANIFEST), files.find(names.SIGNATURE), files.find(names.SECOND_SIGNATURE)
        )

    @property
    def manifest_digest(self) -> bytes:
        """SHA-256 of the manifest, 32 bytes."""
        return hashlib.sha256(self.manifest).digest()

    def files(self) -> dict[str, bytes]:
        """Returns the documents that are there, by name, in the order of the archive."""
        found = {
            names.MANIFEST: self.manifest,
            names.SIGNATURE: self.signature,
            names.SECOND_SIGNATURE: self.second,
        }
        return {name: content for name, content in found.items() if content is not None}
