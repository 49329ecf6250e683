"""Installing: check a bundle once, completely, and keep it under a key of this device alone.

Source: spec/install-v1.md, "Installing".
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from modelkeep.bundle.bundle import UnlockedBundle
from modelkeep.bundle.install_key import INSTALL_KEY_BYTES, payload_key
from modelkeep.bundle.install_record import InstallHeader, InstallRecord, wrapping_context
from modelkeep.bundle.lease import lease_path
from modelkeep.bundle.rollback import Remembered, remembering
from modelkeep.container import names
from modelkeep.container.slots import Slot, lay_out, write_frame
from modelkeep.device.contents_json import INSTALLATION_BYTES
from modelkeep.device.marks import Mark
from modelkeep.errors import UsageError
from modelkeep.keys.identity import Identity
from modelkeep.memory import Pages
from modelkeep.memory.randomness import fill_random
from modelkeep.payload.cipher import StreamCipher, installed_associated_data, new_header
from modelkeep.payload.layout import sealed_size
from modelkeep.payload.segments import Extent
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.release_order import ReleaseOrder
from modelkeep.storage import Replacement, words_for, write_at
from modelkeep.trust.bundle_verifier import BundleVerifier


def install(
    unlocked: UnlockedBundle,
    identity: Identity,
    verifier: BundleVerifier,
    target: Path,
    *,
    force: bool = False,
    progress: Progress = no_progress,
) -> ReleaseOrder | None:
    """Writes an installation of an unlocked bundle; afterwards older releases of the model do not count.

    Args:
        unlocked: the bundle; every byte of it is checked on the way.
        identity: the key of this device.
        verifier: whom to trust.
        target: file to write.
        force: replace an existing file.
        progress: told the plaintext bytes of each finished segment; called from several threads.

    Returns:
        The place of the release that counted before, or None where there was none.

    Raises:
        TamperedError: something is not what was signed; nothing was installed.
        RollbackError: a newer release of this model was installed before, or meanwhile; or a newer
            trust file was seen.
        StorageError: something cannot be read or written; nothing was installed.
        KeyStoreError: the device's key cannot be used.
        UsageError: `target` exists and `force` is not set, or the identity belongs to no device.
    """
    mark = _mark(unlocked)
    model = unlocked.manifest.model
    with (
        remembering(identity, verifier) as remembered,
        Replacement(target, force=force, mode=0o600) as file,
        words_for(target),
    ):
        before = remembered.floor(model)
        installing = _Installing(unlocked, remembered, mark, file.descriptor, progress)
        installing.run()
        # The state changes last: a crash before that leaves the old installation in force.
        signed_at = unlocked.verified.signed.signed_at
        with remembered.committing(model, installing.installation, signed_at):
            file.commit()
        # One that was for what was there before; beside another installation it means nothing.
        lease_path(target).unlink(missing_ok=True)
    return None if before.bundle is None else before.order


def _mark(unlocked: UnlockedBundle) -> Mark:
    signer = unlocked.provenance.signer
    if signer is None:
        raise UsageError("only a bundle whose publisher was verified can be installed")
    return Mark(signer, unlocked.manifest.order, unlocked.manifest.bundle)


class _Installing:
    def __init__(
        self,
        unlocked: UnlockedBundle,
        remembered: Remembered,
        mark: Mark,
        descriptor: int,
        progress: Progress,
    ) -> None:
        self._unlocked, self._remembered, self._mark = unlocked, remembered, mark
        self._descriptor, self._progress = descriptor, progress
        self._front = unlocked.verified.signed.front
        self.installation = os.urandom(INSTALLATION_BYTES)
        self._header = self._make_header()
        self._install_key = Pages.allocate(INSTALL_KEY_BYTES)
        fill_random(self._install_key.view)
        header_bytes = self._header.to_bytes()
        wrapped = remembered.state.local.wrap(self._install_key.view, wrapping_context(header_bytes))
        self._record = InstallRecord(self._header, header_bytes, wrapped).to_bytes()

    def run(self) -> None:
        slots = lay_out(self._sizes())
        write_frame(self._descriptor, slots)
        manifest = self._unlocked.manifest
        secret = self._remembered.stage(manifest.model, self.installation, self._mark)
        with self._install_key, payload_key(self._install_key.view, secret) as key:
            for index in range(len(manifest.members)):
                self._reseal(index, slots[names.payload(index)], key)
        for name, content in self._small_files().items():
            write_at(self._descriptor, memoryview(content), slots[name].data_offset)

    def _make_header(self) -> InstallHeader:
        manifest = self._unlocked.manifest
        return InstallHeader(
            installation=self.installation,
            manifest=self._front.manifest_digest,
            model=manifest.model,
            epoch=manifest.epoch,
            suite=manifest.suite,
            # An installation cannot grant: it does not hold the data key.
            constraints=replace(self._unlocked.provenance.constraints, delegate=False),
            device_id=self._unlocked.provenance.device_id,
        )

    def _small_files(self) -> dict[str, bytes]:
        # The bytes that were verified: the bundle's file may hold others by now.
        return {names.INSTALL: self._record, **self._front.files()}

    def _sizes(self) -> dict[str, int]:
        sizes = {name: len(content) for name, content in self._small_files().items()}
        members = self._unlocked.manifest.members
        return sizes | {names.payload(i): sealed_size(member.size) for i, member in enumerate(members)}

    def _reseal(self, index: int, slot: Slot, key: Pages) -> None:
        suite = self._header.suite
        associated = installed_associated_data(suite, self._header.installation, index)
        cipher = StreamCipher(suite, key.view, associated, new_header())
        target = Extent(self._descriptor, slot.data_offset, self._unlocked.manifest.members[index].size)
        self._unlocked.reseal(index, target, cipher, self._progress)
