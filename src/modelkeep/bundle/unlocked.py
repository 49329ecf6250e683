"""Something that was verified and unlocked, whichever form it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple, Self

from modelkeep.errors import MalformedError
from modelkeep.grants.constraints import Constraints
from modelkeep.inner_manifest import LARGEST_INNER_MANIFEST, InnerManifest
from modelkeep.manifest import Manifest
from modelkeep.memory import Pages
from modelkeep.payload.cipher import StreamCipher
from modelkeep.payload.sealed_stream import SealedStream
from modelkeep.payload.segments import Extent
from modelkeep.payload.stream import Progress, check_installed, no_progress
from modelkeep.signer_id import SignerId


class Provenance(NamedTuple):
    """What was checked on the way here.

    Attributes:
        manifest: the publisher's manifest.
        signer: who signed it, or None when an unsigned bundle was let in.
        device_id: the name under which it was granted, may be empty.
        constraints: what the grant demands; met now.
        installed: whether this is an installation.
    """

    manifest: Manifest
    signer: SignerId | None
    device_id: str
    constraints: Constraints
    installed: bool


class Unlocked(ABC):
    """A bundle or an installation whose signature, policy, grant and key were all checked."""

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self.manifest = provenance.manifest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Wipes the keys; harmless when repeated."""

    @property
    @abstractmethod
    def payload_key(self) -> memoryview:
        """The 32 bytes that the streams have in common; valid until `close`."""

    @abstractmethod
    def sealed_stream(self, index: int) -> SealedStream:
        """Returns what decrypting member `index` takes.

        Raises:
            TamperedError: the description is not what was signed.
            StorageError: it cannot be read.
        """

    @abstractmethod
    def open_stream(self, index: int) -> AbstractContextManager[Extent]:
        """Opens the encrypted bytes of member `index` for the length of a `with` block.

        Raises:
            StorageError: they cannot be read.
        """

    def decrypt(self, index: int, destination: memoryview, progress: Progress = no_progress) -> None:
        """Decrypts member `index` into `destination`; on an error nothing of it may be used.

        Raises:
            TamperedError: it is not what was signed or installed.
            StorageError: it cannot be read.
        """
        with self.open_stream(index) as extent:
            self.sealed_stream(index).decrypt(extent, self.payload_key, destination, progress)

    def check(self, progress: Progress = no_progress) -> None:
        """Checks that every byte of the payload opens under the key, in 2 MiB of memory per thread.

        Args:
            progress: told the plaintext bytes of each finished segment; called from several threads.

        Raises:
            TamperedError: it is not.
            StorageError: it cannot be read.
        """
        for index in range(len(self.manifest.members)):
            sealed = self.sealed_stream(index)
            make_cipher = partial(StreamCipher, sealed.suite, self.payload_key, sealed.associated)
            with self.open_stream(index) as extent:
                check_installed(extent, make_cipher, progress=progress)

    def inner_manifest(self) -> InnerManifest:
        """Returns the description of the model inside.

        Raises:
            TamperedError: it is not the one that was signed or installed.
            MalformedError: it is damaged although authentic, or does not fit the manifest.
        """
        return inner_manifest(self.manifest, lambda destination: self.decrypt(0, destination))


def inner_manifest(manifest: Manifest, decrypt: Callable[[memoryview], None]) -> InnerManifest:
    """Returns the description of a model; `decrypt` fills memory with member 0.

    Raises:
        MalformedError: it is damaged although authentic, or does not fit the manifest.
        KeepError: whatever `decrypt` raises.
    """
    members = manifest.members
    if members[0].size > LARGEST_INNER_MANIFEST:
        raise MalformedError("inner manifest: larger than 16 MiB")
    with Pages.allocate(members[0].size) as pages:
        decrypt(pages.view)
        inner = InnerManifest.from_bytes(bytes(pages.view))
    if len(inner.files) != len(members) - 1:
        raise MalformedError("inner manifest: does not name every file of the bundle")
    return inner
