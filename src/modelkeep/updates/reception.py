"""The front of a bundle that arrives: everything that is judged before a byte of payload is kept.

Source: spec/update-v1.md, "Installing while it arrives".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from modelkeep.bundle.access import Access, sidecar_path
from modelkeep.bundle.arriving import ArrivingBundle, VerifiedArrival
from modelkeep.bundle.install_record import InstallHeader
from modelkeep.bundle.rollback import Remembered, remembering
from modelkeep.bundle.signed_manifest import SignedManifest
from modelkeep.bundle.unwrapping import unwrap
from modelkeep.device.contents_json import INSTALLATION_BYTES
from modelkeep.grants import sidecar
from modelkeep.grants.grant import Grant
from modelkeep.keys.identity import UnwrappedGrant
from modelkeep.payload.stream import Progress
from modelkeep.updates.place import Place
from modelkeep.updates.source import Source
from modelkeep.updates.source_stream import SourceStream
from modelkeep.updates.transfer import Transfer
from modelkeep.updates.unfinished import CompletedError, Unfinished, Wanted, begin, resume


class Reception:
    """A bundle whose front was verified, that is granted to this device, and no older than what counts.

    Attributes:
        signed: the verified manifest.
        remembered: what the device remembers.
        kept: how many plaintext bytes were there from an earlier try.
    """

    def __init__(
        self, arrival: VerifiedArrival, granted: UnwrappedGrant, remembered: Remembered, stream: SourceStream
    ) -> None:
        self.signed = arrival.signed
        self.remembered = remembered
        self.kept = 0
        self._arrival, self._granted, self._stream = arrival, granted, stream
        self._members = arrival.members()
        self._wanted = Wanted(
            _header(arrival.signed, granted),
            arrival.signed.front,
            tuple(member.size for member in arrival.signed.manifest.members),
            remembered.mark(arrival.signed.manifest, arrival.signed.signer),
        )

    @property
    def fetched(self) -> int:
        """How many bytes came from the source."""
        return self._stream.fetched

    def begin(self, place: Place) -> Unfinished:
        """Begins an installation of the bundle in a file, or goes on with what the file has of it.

        Raises:
            RollbackError: a newer release was installed meanwhile.
            OSError: the disk failed, or is full.
            KeyStoreError: the device's key cannot be used.
        """
        found = resume(self._wanted, place, self.remembered)
        return found or begin(self._wanted, place, self.remembered)

    def take(self, target: Unfinished, progress: Progress) -> None:
        """Takes what is missing; the installation is staged, complete and synced afterwards.

        Args:
            target: from `begin`.
            progress: told the plaintext bytes of each segment that is there; called from several threads.

        Raises:
            UnavailableError: its file was taken away meanwhile.
            OSError: the disk failed.
            KeepError: as for `Transfer.run`.
        """
        if target.is_complete:
            return
        with self._granted.data_key.payload_key() as key:
            transfer = Transfer(self._arrival, self._members, key.view, target, progress)
            with suppress(CompletedError):
                transfer.run()
            self.kept = transfer.kept


@contextmanager
def receiving(source: Source, access: Access) -> Iterator[Reception]:
    """Reads the front of a bundle and judges it, for the length of a `with` block.

    Raises:
        UsageError: the publisher is not verified, or the key belongs to no device.
        KeepError: as for `ArrivingBundle.verify`, `remembering` and `unwrap`.
    """
    with (
        SourceStream(source) as stream,
        remembering(access.identity, access.verifier) as remembered,
    ):
        arrival = ArrivingBundle(stream).verify(remembered.verifier)
        remembered.mark(arrival.signed.manifest, arrival.signed.signer)
        remembered.check(arrival.signed.manifest)
        with _unwrapped(arrival, source, access) as granted:
            yield Reception(arrival, granted, remembered, stream)


def _unwrapped(arrival: VerifiedArrival, source: Source, access: Access) -> UnwrappedGrant:
    identity = access.identity
    glance = identity.glance(arrival.signed.manifest.bundle)
    path = getattr(source, "path", None)
    if access.grant_file is not None:
        grants: Iterator[Grant] = sidecar.read(access.grant_file, required=True, glance=glance)
    elif isinstance(path, Path):
        grants = chain(arrival.embedded_grants(), sidecar.read(sidecar_path(path), glance=glance))
    else:
        grants = arrival.embedded_grants()
    passed_over = glance.kinds if glance else None
    return unwrap(arrival.signed, identity, grants, posture=access.posture, passed_over=passed_over)


def _header(signed: SignedManifest, granted: UnwrappedGrant) -> InstallHeader:
    manifest = signed.manifest
    return InstallHeader(
        installation=bytes(INSTALLATION_BYTES),
        manifest=signed.front.manifest_digest,
        model=manifest.model,
        epoch=manifest.epoch,
        suite=manifest.suite,
        # An installation cannot grant: it does not hold the data key.
        constraints=replace(granted.constraints, delegate=False),
        device_id=granted.device_id,
    )
