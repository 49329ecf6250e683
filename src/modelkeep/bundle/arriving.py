"""A bundle that arrives as a stream: judged before its payload, checked segment by segment.

Source: spec/bundle-v1.md, "From a stream".
"""

from __future__ import annotations

from collections.abc import Iterator

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
from modelkeep.trust.bundle_verifier import BundleVerifier


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

    def members(self) -> tuple[ArrivingMember, ...]:
        """Reads the leaf lists and returns what each stream must be; called once, after the grants.

        The members are then received one after the other, each to its end, and `end` checks what follows.

        Raises:
            TamperedError: the leaves are not what was signed.
            MalformedError: the archive is cut short, or not of its form.
            StorageError: the stream is broken.
        """
        lists = [self._leaves(index) for index in range(len(self.signed.manifest.members))]
        return tuple(
            ArrivingMember(self._archive, self.signed, number, leaves) for number, leaves in enumerate(lists)
        )

    def end(self) -> None:
        """Checks that nothing comes after the last member.

        Raises:
            TamperedError: something does.
        """
        if self._archive.entry is not None:
            raise other_files()

    def check_digests(self, progress: Progress = no_progress) -> None:
        """Checks every byte of the payload as it arrives, against the signed digests of both kinds.

        Args:
            progress: told the bytes of each segment.

        Raises:
            KeepError: as for `members`, and `ArrivingMember.segments`.
        """
        for member in self.members():
            for _, sealed in member.segments(member.whole()):
                progress(len(sealed))
        self.end()

    def _section(self, section: str) -> Iterator[bytes]:
        while (entry := self._archive.entry) is not None and entry.name.startswith(f"{section}/"):
            yield self._archive.read()

    def _leaves(self, index: int) -> bytes:
        size = LEAF * segment_count(self.signed.manifest.members[index].size)
        _expect(self._archive, names.leaves(index), size)
        return self.signed.checked_leaves(index, self._archive.read())


class ArrivingMember:
    """A stream that is still to come, and its signed leaves; made by `VerifiedArrival.members`.

    Attributes:
        number: its number in the bundle.
        size: length of its plaintext in bytes.
        count: how many segments it has.
        leaves: the signed leaf digests.
        algorithm: hash of the leaves.
    """

    def __init__(self, archive: ArrivingArchive, signed: SignedManifest, number: int, leaves: bytes) -> None:
        self.number = number
        self.size = signed.manifest.members[number].size
        self.count = segment_count(self.size)
        self.leaves = leaves
        self.algorithm = signed.manifest.leaf_algorithm
        self._archive = archive
        self._sha256 = signed.resources.get(names.payload(number))

    def whole(self) -> WholeSha256:
        """Returns what takes the whole stream, where its SHA-256 is signed."""
        return WholeSha256(self._sha256)

    def segments(self, whole: WholeSha256, first: int = 0) -> Iterator[tuple[int, memoryview]]:
        """Gives the number of every segment and its sealed bytes as they arrive, whose leaf was checked.

        Nothing of it counts before this has come to its end without an error. To be used once.

        Args:
            whole: from `whole`; it has taken the segments before `first`.
            first: the first segment that is wanted; those before are passed over.

        Returns:
            Numbers, and bytes in private memory that the next segment overwrites; segment 0 begins with
            the stream's header.

        Raises:
            TamperedError: something is not what was signed.
            MalformedError: the archive is cut short, or not of its form.
            StorageError: the stream is broken.
        """
        _expect(self._archive, names.payload(self.number), sealed_size(self.size))
        self._archive.skip(min(first * SEGMENT, sealed_size(self.size)))
        scratch = memoryview(bytearray(min(SEGMENT, sealed_size(self.size))))
        for index in range(first, self.count):
            start, end = sealed_range(index, self.size)
            sealed = scratch[: end - start]
            self._archive.fill(sealed)
            check_leaf(index, sealed, self.leaves, self.algorithm)
            whole.take(sealed)
            yield index, sealed
        whole.check()


def _expect(archive: ArrivingArchive, name: str, size: int) -> None:
    entry = archive.entry
    if entry is None or (entry.name, entry.size) != (name, size):
        raise other_files()
