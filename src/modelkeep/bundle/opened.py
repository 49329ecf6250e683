"""What a session needs of something that was verified and unlocked, whichever form it has."""

from __future__ import annotations

from typing import Protocol

from modelkeep.inner_manifest import InnerManifest
from modelkeep.keys.constraints import Constraints
from modelkeep.manifest import Manifest
from modelkeep.payload.stream import Progress, no_progress


class Opened(Protocol):
    """A bundle or an installation whose signature, policy, grant and key were all checked."""

    @property
    def manifest(self) -> Manifest:
        """The publisher's manifest."""

    @property
    def signer(self) -> str | None:
        """Who signed it, or None when an unsigned bundle was let in."""

    @property
    def device_id(self) -> str:
        """The name under which it was granted, may be empty."""

    @property
    def constraints(self) -> Constraints:
        """What the grant demands; met now."""

    @property
    def installed(self) -> bool:
        """Whether this is an installation."""

    def inner_manifest(self) -> InnerManifest:
        """Returns the description of the model inside.

        Raises:
            TamperedError: it is not the one that was signed or installed.
            MalformedError: it is damaged although authentic.
        """

    def decrypt(self, index: int, destination: memoryview, progress: Progress = no_progress) -> None:
        """Decrypts member `index` into `destination`; on an error nothing of it may be used.

        Raises:
            TamperedError: it is not what was signed or installed.
            StorageError: it cannot be read.
        """


def read_inner_manifest(opened: Opened) -> InnerManifest: ...
