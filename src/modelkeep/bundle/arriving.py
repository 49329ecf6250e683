"""A bundle that arrives as a stream: judged before its payload, checked segment by segment.

Source: spec/bundle-v1.md, "From a stream".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelkeep.bundle.signed_manifest import SignedManifest, other_files, verify_manifest
from modelkeep.container import names
from modelkeep.container.arriving import ArrivingArchive
from modelkeep.container.front import Front
from modelkeep.container.tape import Readable
from modelkeep.errors import MalformedError
from modelkeep.grants.grant import Grant, parse_all
from modelkeep.payload.layout import SEGMENT, sealed_range, sealed_size, segment_count
from modelkeep.payload.segments import LEAF, WholeSha256, check_leaf
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.payload.workers import Workers
from modelkeep.trust.bundle_verifier import BundleVerifier


@dataclass(frozen=True, slots=True)
class ArrivedSegment:
    """A sealed segment whose leaf was checked.

    Attributes:
        member: number of its stream.
        index: its number in the stream; segment 0 begins with the stream's header.
        sealed: its bytes, in private memory that the next segment overwrites.
    """

    member: int
    index: int
    sealed: memoryview


class ArrivingBundle:
    """A bundle of which manifest and signatures have arrived; nothing is verified."""

    def __init__(self, stream: Readable) -> None:
        """Reads manifest and signatures, at most 9.2 MiB.

        Raises:
            MalformedError: not a bundle, or cut short.
            StorageError: the stream is broken.
        """
        self._archive = ArrivingArchive(stream)
        manifest = self._small(names.MANIFEST)
        if manifest is None:
            raise MalformedError(f"bundle: has no {names.MANIFEST}")
        self._front = Front(manifest, self._small(names.SIGNATURE), self._small(names.SECOND_SIGNATURE))

    def verify(self, verifier: BundleVerifier) -> VerifiedArrival:
        """Checks signature, manifest and policy, then reads the grants; called once.

        Raises:
            SignatureError, UntrustedSignerError: nobody trusted signed this.
            TamperedError: the manifest is not what was signed.
            RefusedError: the verifier's policy says no.
            MalformedError: the manifest is damaged, or the archive cut short.
            StorageError: the stream is broken.
        """
        return VerifiedArrival(self._archive, verify_manifest(self._front, verifier))

    def _small(self, name: str) -> bytes | None:
        entry = self._archive.entry
        return self._archive.read() if entry is not None and entry.name == name else None


class VerifiedArrival:
    """A bundle whose front was verified and whose payload is still to come; made by `ArrivingBundle.verify`.

    Attributes:
        signed: the verified manifest.
    """

    def __init__(self, archive: ArrivingArchive, signed: SignedManifest) -> None:
        self.signed = signed
        self._archive = archive
        # Further signatures that nobody demanded are read and forgotten.
        for _ in self._section(names.SIGNATURES):
            pass
        self._grants = tuple(self._section(names.GRANTS))

    def embedded_grants(self) -> Iterator[Grant]:
        """Gives the grants that were sealed into the bundle.

        Raises:
            MalformedError: one of them is not a grant.
            UnsupportedVersionError: at the end, if one was made by a newer modelkeep.
        """
        return parse_all(self._grants)

    def segments(self, progress: Progress = no_progress) -> Iterator[ArrivedSegment]:
        """Gives every segment as it arrives, in order; the last one is followed by the end of the archive.

        Nothing that came out counts before this has come to its end without an error. To be used once.

        Args:
            progress: told the bytes of each segment.

        Raises:
            TamperedError: something is not what was signed.
            MalformedError: the archive is cut short, or not of its form.
            StorageError: the stream is broken.
        """
        lists = [self._leaves(index) for index in range(len(self.signed.manifest.members))]
        for member, leaves in enumerate(lists):
            for segment in self._stream(member, leaves):
                yield segment
                progress(len(segment.sealed))
        if self._archive.entry is not None:
            raise other_files()

    def _section(self, section: str) -> Iterator[bytes]:
        while (entry := self._archive.entry) is not None and entry.name.startswith(f"{section}/"):
            yield self._archive.read()

    def _leaves(self, index: int) -> bytes:
        size = LEAF * segment_count(self.signed.manifest.members[index].size)
        self._expect(names.leaves(index), size)
        return self.signed.checked_leaves(index, self._archive.read())

    def _stream(self, member: int, leaves: bytes) -> Iterator[ArrivedSegment]:
        size = self.signed.manifest.members[member].size
        self._expect(names.payload(member), sealed_size(size))
        algorithm = self.signed.manifest.leaf_algorithm
        signed_sha256 = self.signed.resources.get(names.payload(member))
        whole = WholeSha256(Workers(segment_count(size)), signed_sha256)
        scratch = memoryview(bytearray(min(SEGMENT, sealed_size(size))))
        for index in range(segment_count(size)):
            start, end = sealed_range(index, size)
            sealed = scratch[: end - start]
            self._archive.fill(sealed)
            check_leaf(index, sealed, leaves, algorithm)
            whole.update(index, sealed)
            yield ArrivedSegment(member, index, sealed)
        whole.check()

    def _expect(self, name: str, size: int) -> None:
        entry = self._archive.entry
        if entry is None or (entry.name, entry.size) != (name, size):
            raise other_files()
