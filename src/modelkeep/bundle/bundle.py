"""A bundle on the device side: opened, then verified, then unlocked.

Each step gives an object that only the step before can make, and only the last one can
decrypt: what was not verified cannot be read. Source: spec/bundle-v1.md, "Opening".
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from modelkeep import public_key
from modelkeep.bundle.mistaken import said_what_it_is
from modelkeep.bundle.signed_manifest import SignedManifest, other_files, verify_manifest
from modelkeep.bundle.unlocked import Provenance, Unlocked
from modelkeep.bundle.unwrapping import unwrap
from modelkeep.container import names
from modelkeep.container.container import open_container
from modelkeep.container.files import Files
from modelkeep.container.front import Front
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.grants.grant import Grant, parse_all
from modelkeep.keys.identity import Identity, UnwrappedGrant
from modelkeep.manifest import Manifest
from modelkeep.payload import stream
from modelkeep.payload.cipher import associated_data
from modelkeep.payload.layout import sealed_size, segment_count
from modelkeep.payload.sealed_stream import SealedStream
from modelkeep.payload.segments import LEAF, Extent
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.storage import named
from modelkeep.trust.bundle_verifier import BundleVerifier


class Bundle(Files):
    """A bundle that was opened and nothing more: everything it says is hearsay."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the archive or folder at `path` and checks its outer form.

        Raises:
            StorageError: cannot be read.
            MalformedError: not a bundle.
        """
        with said_what_it_is(path):
            super().__init__(open_container(path))

    def unverified_manifest(self) -> Manifest:
        """Returns what the bundle says of itself, for display only.

        Raises:
            MalformedError: the manifest is damaged.
            UnsupportedVersionError: written by a newer modelkeep.
        """
        return Manifest.from_bytes(self.read(names.MANIFEST))

    def embedded_grants(self) -> Iterator[Grant]:
        """Gives the grants that were sealed into the bundle.

        Raises:
            MalformedError: one of them is not a grant.
            UnsupportedVersionError: at the end, if one was made by a newer modelkeep.
        """
        embedded = [name for name in self.sizes if name.startswith(f"{names.GRANTS}/")]
        return parse_all(self.read(name) for name in embedded)

    def verify(self, verifier: BundleVerifier) -> VerifiedBundle:
        """Checks signature, manifest and policy; reads no payload.

        Raises:
            SignatureError, UntrustedSignerError: nobody trusted signed this.
            TamperedError: the manifest or the set of files is not what was signed.
            RefusedError: the verifier's policy says no.
            MalformedError: the manifest is damaged.
        """
        signed = verify_manifest(Front.of(self), verifier)
        self._check_sizes(signed.manifest)
        return VerifiedBundle(self, signed)

    def _check_sizes(self, manifest: Manifest) -> None:
        expected = {
            name: size
            for index, member in enumerate(manifest.members)
            for name, size in (
                (names.leaves(index), LEAF * segment_count(member.size)),
                (names.payload(index), sealed_size(member.size)),
            )
        }
        found = {
            name: size
            for name, size in self.sizes.items()
            if name.startswith((f"{names.LEAVES}/", f"{names.PAYLOAD}/"))
        }
        if found != expected:
            raise other_files()


class VerifiedBundle:
    """A bundle whose manifest was signed by somebody trusted; made by `Bundle.verify` alone."""

    def __init__(self, bundle: Bundle, signed: SignedManifest) -> None:
        self.bundle = bundle
        self.signed = signed
        self.manifest = signed.manifest
        self.signer = signed.signer
        self.now = signed.now

    def check_digests(self, progress: Progress = no_progress) -> None:
        """Checks every byte of the payload against the signed digests, of both kinds where both are there.

        Raises:
            TamperedError: a file is not the one that was signed.
            StorageError: a file cannot be read.
        """
        with named(self.bundle.path):
            self._check_digests(progress)

    def _check_digests(self, progress: Progress) -> None:
        algorithm = self.manifest.leaf_algorithm
        for index, member in enumerate(self.manifest.members):
            leaves = self.leaves(index)
            whole = self.signed_sha256(names.payload(index))
            with self.bundle.open_stream(index, member.size) as extent:
                stream.check(extent, leaves, algorithm, sha256=whole, progress=progress)

    def unlock(
        self,
        identity: Identity,
        grants: Iterable[Grant],
        *,
        posture: frozenset[str] = frozenset(),
        passed_over: Counter[str] | None = None,
        delegating: bool = False,
    ) -> UnlockedBundle:
        """Finds the grant for `identity` and takes the data key out of it.

        The arguments and what is raised are those of `unwrap`.
        """
        unwrapped = unwrap(
            self.signed,
            identity,
            grants,
            posture=posture,
            passed_over=passed_over,
            delegating=delegating,
        )
        try:
            return UnlockedBundle(self, unwrapped)
        except BaseException:
            unwrapped.data_key.close()
            raise

    def signed_sha256(self, name: str) -> bytes | None:
        """Returns the SHA-256 that the statement lists for a file, or None."""
        return self.signed.resources.get(name)

    def leaves(self, index: int) -> bytes:
        """Returns the leaf list of member `index`, checked against its signed digests.

        Raises:
            TamperedError: it is not the one that was signed.
            StorageError: it cannot be read.
        """
        return self.signed.checked_leaves(index, self.bundle.read(names.leaves(index)))


class UnlockedBundle(Unlocked):
    """A verified bundle together with its data key; made by `VerifiedBundle.unlock` alone."""

    def __init__(self, verified: VerifiedBundle, unwrapped: UnwrappedGrant) -> None:
        super().__init__(
            Provenance(
                manifest=verified.manifest,
                signer=verified.signer,
                device_id=unwrapped.device_id,
                constraints=unwrapped.constraints,
                installed=False,
            )
        )
        self.verified = verified
        self.grant = unwrapped
        self._payload_key = unwrapped.data_key.payload_key()

    def close(self) -> None:
        """Wipes the keys; harmless when repeated."""
        self._payload_key.close()
        self.grant.data_key.close()

    @property
    def payload_key(self) -> memoryview:
        """See `Unlocked.payload_key`."""
        return self._payload_key.view

    def sealed_stream(self, index: int) -> SealedStream:
        """See `Unlocked.sealed_stream`."""
        return SealedStream(
            self.manifest.suite,
            associated_data(self.manifest.suite, self.manifest.bundle, index),
            self.manifest.leaf_algorithm,
            self.verified.leaves(index),
        )

    def open_stream(self, index: int) -> AbstractContextManager[Extent]:
        """See `Unlocked.open_stream`."""
        return self.verified.bundle.open_stream(index, self.manifest.members[index].size)

    def check_grant_signer(self, signer: EcdsaSigner | None) -> None:
        """Raises UsageError when new grants would not open: the bundle takes those of its issuers only."""
        issuers = self.manifest.grant_issuers
        if issuers and signer is None:
            raise UsageError("this bundle accepts signed grants only", hint="pass the grant signer's key")
        if issuers and signer is not None and public_key.to_der(signer.public_key) not in issuers:
            raise UsageError(
                f"{self.manifest.model}: takes no grants that this key signs",
                hint="pass the --grant-signer that it was sealed with",
            )
