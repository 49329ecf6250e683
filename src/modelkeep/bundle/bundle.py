"""A bundle on the device side: opened, then verified, then unlocked.

Each step gives an object that only the step before can make, and only the last one can
decrypt: what was not verified cannot be read. Source: spec/bundle-v1.md, "Opening".
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Self

from modelkeep.bundle import names
from modelkeep.bundle.container import open_container
from modelkeep.bundle.place import Place
from modelkeep.errors import MalformedError, SignatureError, TamperedError, UsageError
from modelkeep.inner_manifest import LARGEST_INNER_MANIFEST, InnerManifest
from modelkeep.keys.grant import Grant, parse_all
from modelkeep.keys.identity import Identity, UnwrappedGrant
from modelkeep.manifest import Coverage, Manifest
from modelkeep.memory import Pages
from modelkeep.payload import stream
from modelkeep.payload.cipher import StreamCipher, associated_data
from modelkeep.payload.layout import sealed_size, segment_count
from modelkeep.payload.stream import Extent, Progress, no_progress
from modelkeep.trust.verifier import BundleVerifier


class Bundle:
    """A bundle that was opened and nothing more: everything it says is hearsay."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the archive or folder at `path` and checks its outer form.

        Raises:
            StorageError: cannot be read.
            MalformedError: not a bundle.
        """
        self._container = open_container(path)
        self.path = self._container.path
        self.sizes: Mapping[str, int] = self._container.sizes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files; harmless when repeated."""
        self._container.close()

    def read(self, name: str) -> bytes:
        """Returns a small file of the bundle as it is, unverified.

        Raises:
            UsageError: the bundle has no such file, or is closed.
            StorageError: cannot be read.
        """
        if name not in self.sizes:
            raise UsageError(f"the bundle has no file {name!r}")
        with self.open_file(name) as place:
            return place.read()

    def open_file(self, name: str) -> AbstractContextManager[Place]:
        """Opens a file of the bundle for the length of a `with` block."""
        return self._container.open(name)

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
        data = self.read(names.MANIFEST)
        resources, signer = self._signed_resources(verifier, data)
        manifest = Manifest.from_bytes(data)
        if signer is not None:
            _check_coverage(manifest, resources)
        verifier.check(manifest)
        self._check_sizes(manifest)
        return VerifiedBundle(self, manifest, resources, signer, verifier.now(manifest.sealed_at))

    @contextmanager
    def open_stream(self, index: int, size: int) -> Iterator[Extent]:
        """Opens the stream of member `index`, whose plaintext has `size` bytes."""
        with self._container.open(names.payload(index)) as place:
            yield Extent(place.descriptor, place.offset, size)

    def _signed_resources(
        self, verifier: BundleVerifier, manifest: bytes
    ) -> tuple[Mapping[str, bytes], str | None]:
        if not verifier.requires_signature:
            return {}, None
        if names.SIGNATURE not in self.sizes:
            raise SignatureError("the bundle is not signed", hint="seal it with a signer")
        verified = verifier.verify_statement(self.read(names.SIGNATURE))
        resources = verified.statement.resources
        if resources.get(names.MANIFEST) != hashlib.sha256(manifest).digest():
            raise TamperedError("manifest.json is not the one that was signed")
        return resources, verified.signer_id

    def _check_sizes(self, manifest: Manifest) -> None:
        expected = {
            name: size
            for index, member in enumerate(manifest.members)
            for name, size in (
                (names.leaves(index), stream.LEAF * segment_count(member.size)),
                (names.payload(index), sealed_size(member.size)),
            )
        }
        found = {
            name: size
            for name, size in self.sizes.items()
            if name.startswith((f"{names.LEAVES}/", f"{names.PAYLOAD}/"))
        }
        if found != expected:
            raise TamperedError("the files of the bundle are not those that its manifest lists")


class VerifiedBundle:
    """A bundle whose manifest was signed by somebody trusted; made by `Bundle.verify` alone."""

    def __init__(
        self, bundle: Bundle, manifest: Manifest, resources: Mapping[str, bytes], signer: str | None, now: int
    ) -> None:
        self.bundle = bundle
        self.manifest = manifest
        self.signer = signer
        self.now = now
        self._resources = resources

    def check_digests(self, progress: Progress = no_progress) -> None:
        """Checks every byte of the payload against the signed digests, of both kinds where both are there.

        Raises:
            TamperedError: a file is not the one that was signed.
            StorageError: a file cannot be read.
        """
        algorithm = self.manifest.leaf_algorithm
        for index, member in enumerate(self.manifest.members):
            leaves = self._leaves(index)
            whole = self._resources.get(names.payload(index))
            with self.bundle.open_stream(index, member.size) as extent:
                stream.check(extent, leaves, algorithm, sha256=whole, progress=progress)

    def unlock(
        self,
        identity: Identity,
        grants: Iterable[Grant],
        *,
        proved: frozenset[str] = frozenset(),
    ) -> UnlockedBundle:
        """Finds the grant for `identity` and takes the data key out of it.

        Args:
            identity: who wants to open.
            grants: where to look; only read as far as needed.
            proved: the device states that were proved, for grants that require some.

        Raises:
            NotForThisDeviceError: no grant fits.
            TamperedError: the grant is damaged or holds the key of something else.
            ExpiredError, PostureError: the grant's constraints are not met.
            UntrustedSignerError, SignatureError: the bundle wants signed grants and this is none.
        """
        # The header that is checked here is authentic as soon as the grant opens under it.
        grant = identity.select(grants, self.manifest.bundle, accept=partial(self._accept, proved))
        unwrapped = identity.unwrap(grant, self.manifest.bundle)
        try:
            unwrapped.data_key.check_commitment(self.manifest.commitment)
            return UnlockedBundle(self, unwrapped)
        except BaseException:
            unwrapped.data_key.close()
            raise

    def _accept(self, proved: frozenset[str], grant: Grant) -> None:
        if self.manifest.grant_issuers:
            grant.check_issuer(self.manifest.grant_issuers)
        grant.header.constraints.check(self.now, proved)

    def _leaves(self, index: int) -> bytes:
        data = self.bundle.read(names.leaves(index))
        if self.manifest.leaf_algorithm.digest(data) != self.manifest.members[index].leaves:
            raise TamperedError(f"{names.leaves(index)} is not the one that was signed")
        signed = self._resources.get(names.leaves(index))
        if signed is not None and hashlib.sha256(data).digest() != signed:
            raise TamperedError(f"{names.leaves(index)} is not the one that was signed")
        return data


class UnlockedBundle:
    """A verified bundle together with its data key; made by `VerifiedBundle.unlock` alone."""

    def __init__(self, verified: VerifiedBundle, unwrapped: UnwrappedGrant) -> None:
        self.verified = verified
        self.grant = unwrapped
        self._payload_key = unwrapped.data_key.payload_key()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Wipes the keys; harmless when repeated."""
        self._payload_key.close()
        self.grant.data_key.close()

    def inner_manifest(self) -> InnerManifest:
        """Returns the description of the model inside.

        Raises:
            TamperedError: it is not the one that was signed, or does not fit the manifest.
            MalformedError: it is damaged although signed.
        """
        members = self.verified.manifest.members
        if members[0].size > LARGEST_INNER_MANIFEST:
            raise MalformedError("inner manifest: larger than 16 MiB")
        with Pages.allocate(members[0].size) as pages:
            self.decrypt(0, pages.view)
            inner = InnerManifest.from_bytes(bytes(pages.view))
        if len(inner.files) != len(members) - 1:
            raise MalformedError("inner manifest: does not name every file of the bundle")
        return inner

    def decrypt(self, index: int, destination: memoryview, progress: Progress = no_progress) -> None:
        """Decrypts member `index` into `destination`; on an error nothing of it may be used.

        Raises:
            TamperedError: it is not what was signed.
            StorageError: it cannot be read.
        """
        manifest = self.verified.manifest
        associated = associated_data(manifest.suite, manifest.bundle, index)
        make_cipher = partial(StreamCipher, manifest.suite, self._payload_key.view, associated)
        leaves = self.verified._leaves(index)
        with self.verified.bundle.open_stream(index, manifest.members[index].size) as extent:
            stream.decrypt(
                extent, make_cipher, leaves, manifest.leaf_algorithm, destination, progress=progress
            )


def _check_coverage(manifest: Manifest, resources: Mapping[str, bytes]) -> None:
    # The statement's own ignore_paths have no say here: what is listed must be exactly what
    # the manifest announces.
    expected = [names.MANIFEST]
    if manifest.coverage is Coverage.FILES:
        expected = names.signed_files(len(manifest.members))
    if set(resources) != set(expected):
        raise SignatureError("the signature covers other files than the bundle has")
