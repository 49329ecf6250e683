"""A model that was installed on this device: encrypted under a key that no other device has.

The publisher's signature and the digests were checked when it was installed. What can change since is
checked at every open: signature and trust of the manifest, the verifier's policy, the grant's
constraints, and whether this installation and the verifier's trust file still count.
Source: spec/install-v1.md, "Opening".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from modelkeep.bundle.install_key import payload_key
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, wrapping_context
from modelkeep.bundle.lease import in_force, read_lease
from modelkeep.bundle.rollback import Remembered, remembering
from modelkeep.bundle.signed_manifest import SignedManifest, verify_manifest
from modelkeep.bundle.unlocked import Provenance, Unlocked
from modelkeep.container import names
from modelkeep.container.archive import Archive, first_name
from modelkeep.container.files import Files
from modelkeep.container.front import Front
from modelkeep.container.order import INSTALLATION
from modelkeep.device.contents import Stage
from modelkeep.errors import TamperedError
from modelkeep.keys.identity import Identity
from modelkeep.manifest import Manifest
from modelkeep.memory import Pages, wipe
from modelkeep.payload.cipher import installed_associated_data
from modelkeep.payload.layout import sealed_size
from modelkeep.payload.sealed_stream import SealedStream
from modelkeep.payload.segments import Extent
from modelkeep.storage import path_of
from modelkeep.trust.bundle_verifier import BundleVerifier


def is_installation(path: str | os.PathLike[str]) -> bool:
    """Returns whether the file at `path` begins like an installation; says nothing of its worth.

    Raises:
        StorageError: cannot be read.
    """
    path = path_of(path)
    return not path.is_dir() and first_name(path) == names.INSTALL


class Installation(Files):
    """An installation that was opened and nothing more."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the file at `path` and checks its outer form.

        Raises:
            StorageError: cannot be read.
            MalformedError: not an installation.
        """
        super().__init__(Archive(path_of(path), INSTALLATION))

    def unlock(
        self, identity: Identity, verifier: BundleVerifier, *, posture: frozenset[str] = frozenset()
    ) -> UnlockedInstallation:
        """Checks everything that can have changed since the model was installed.

        Args:
            identity: the key of this device.
            verifier: whom to trust, and which model and release to accept.
            posture: names of what this device was found to be, for grants that demand some.

        Raises:
            SignatureError, UntrustedSignerError: nobody trusted signed this.
            TamperedError: it was not installed by this device, or was changed since.
            RollbackError: a newer release has been installed, or a newer trust file was seen.
            ExpiredError, PostureError: the grant's constraints are not met.
            RefusedError: the verifier's policy says no.
        """
        with remembering(identity, verifier) as remembered:
            return self.unlock_remembered(remembered, posture)

    def unlock_remembered(
        self, remembered: Remembered, posture: frozenset[str], stage: Stage = Stage.CURRENT
    ) -> UnlockedInstallation:
        """Does what `unlock` does, with what the device remembers at hand.

        Args:
            remembered: what the device remembers, and whom it trusts.
            posture: as for `unlock`.
            stage: the only stage that is opened; for a trial, it is another one.

        Raises:
            KeepError: as for `unlock`.
        """
        with self.authentic(remembered, stage) as found:
            found.header.constraints.check(found.signed.now, posture)
            key = payload_key(found.install_key, found.secret)
        return UnlockedInstallation(self, found.signed, found.header, key)

    @contextmanager
    def authentic(
        self, remembered: Remembered, stage: Stage = Stage.CURRENT
    ) -> Iterator[AuthenticInstallation]:
        """Checks everything but the grant's constraints; gives the install key for the `with` block.

        Args:
            remembered: what the device remembers, and whom it trusts.
            stage: the only stage that is accepted.

        Raises:
            KeepError: as for `unlock`.
        """
        signed = verify_manifest(Front.of(self), remembered.verifier)
        installed = InstallRecord.from_bytes(self.read(names.INSTALL))
        _check_header(installed.header, signed)
        self._check_sizes(signed.manifest)
        record = in_force(installed, read_lease(self.path), signed.manifest)
        install_key = remembered.state.local.unwrap(record.wrapped, wrapping_context(record.header_bytes))
        try:
            # From here on the header is authentic.
            remembered.check(signed.manifest)
            known = remembered.known(record.header.model, record.header.installation, stage)
            yield AuthenticInstallation(signed, record.header, install_key, known.secret)
        finally:
            wipe(install_key)

    def _check_sizes(self, manifest: Manifest) -> None:
        sizes = [sealed_size(member.size) for member in manifest.members]
        expected = {names.payload(index): size for index, size in enumerate(sizes)}
        found = {name: size for name, size in self.sizes.items() if name.startswith(f"{names.PAYLOAD}/")}
        if found != expected:
            raise TamperedError("the files of the installation are not those that its manifest lists")


@dataclass(frozen=True, slots=True)
class AuthenticInstallation:
    """An installation that was made here and counts; made by `Installation.authentic` alone.

    Attributes:
        signed: the publisher's manifest.
        header: what was installed, until the end that counts now.
        install_key: the install key (32 bytes), wiped afterwards.
        secret: what the device's state keeps of it (32 bytes).
    """

    signed: SignedManifest
    header: InstallHeader
    install_key: bytearray = field(repr=False)
    secret: bytes = field(repr=False)


class UnlockedInstallation(Unlocked):
    """An installation together with its key; made by `Installation.unlock` alone.

    Attributes:
        signed: the publisher's manifest.
    """

    def __init__(
        self, installation: Installation, signed: SignedManifest, header: InstallHeader, key: Pages
    ) -> None:
        super().__init__(
            Provenance(
                manifest=signed.manifest,
                signer=signed.signer,
                device_id=header.device_id,
                constraints=header.constraints,
                installed=True,
            )
        )
        self.signed = signed
        self._installation = installation
        self._header = header
        self._key = key

    def close(self) -> None:
        """Wipes the key; harmless when repeated."""
        self._key.close()

    @property
    def payload_key(self) -> memoryview:
        """See `Unlocked.payload_key`."""
        return self._key.view

    def sealed_stream(self, index: int) -> SealedStream:
        """See `Unlocked.sealed_stream`."""
        return SealedStream(
            self._header.suite,
            installed_associated_data(self._header.suite, self._header.installation, index),
            self.manifest.leaf_algorithm,
            leaves=None,
        )

    def open_stream(self, index: int) -> AbstractContextManager[Extent]:
        """See `Unlocked.open_stream`."""
        return self._installation.open_stream(index, self.manifest.members[index].size)


def _check_header(header: InstallHeader, signed: SignedManifest) -> None:
    described = (header.manifest, header.model, header.epoch)
    if described != (signed.front.manifest_digest, signed.manifest.model, signed.manifest.epoch):
        raise TamperedError("the installation was made for another release")
