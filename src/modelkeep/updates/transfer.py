"""From what arrives to an installation: each segment is checked, encrypted anew and written, once.

Source: spec/update-v1.md, "Installing while it arrives".
"""

from __future__ import annotations

from modelkeep.bundle.arriving import ArrivingMember, VerifiedArrival
from modelkeep.bundle.unlocked import inner_manifest
from modelkeep.errors import TamperedError
from modelkeep.payload.cipher import StreamCipher, associated_data
from modelkeep.payload.layout import HEADER, plain_range
from modelkeep.payload.resealing import Resealer
from modelkeep.payload.segments import WholeSha256
from modelkeep.payload.stream import Progress, decrypt_installed
from modelkeep.updates.recheck import Recheck
from modelkeep.updates.unfinished import Unfinished


class Transfer:
    """One bundle on its way into one installation.

    Attributes:
        kept: how many plaintext bytes were there from an earlier try.

    Args:
        arrival: the bundle, of which leaves and payload are still to come.
        members: its members, from `arrival`.
        payload_key: what its streams are encrypted with, 32 bytes.
        target: the installation.
        progress: told the plaintext bytes of each segment that is there.
    """

    def __init__(
        self,
        arrival: VerifiedArrival,
        members: tuple[ArrivingMember, ...],
        payload_key: memoryview,
        target: Unfinished,
        progress: Progress,
    ) -> None:
        self._arrival, self._members, self._key = arrival, members, payload_key
        self._target, self._progress = target, progress
        self.kept = 0

    def run(self) -> None:
        """Takes all of it; the installation is complete afterwards.

        Raises:
            TamperedError: something is not what was signed.
            MalformedError, UnsupportedVersionError: the bundle is cut short, or for a newer modelkeep.
            UnavailableError: the source or the disk failed.
            OSError: the disk failed.
        """
        for member in self._members:
            self._take(member)
            if member.number == 0:
                # Before gigabytes are fetched that this modelkeep cannot open.
                self._check_inner_manifest()
        self._arrival.end()
        self._target.finish()

    def _take(self, member: ArrivingMember) -> None:
        whole, target = member.whole(), self._target
        old, first = self._recheck(member, whole) if target.has_payload else (None, 0)
        self._kept(member, first)
        new = target.cipher(member.number)
        with Resealer(member.size) as resealer:
            for index, sealed in member.segments(whole, first):
                if old is None:
                    old = self._begin(member.number, bytes(sealed[:HEADER]))
                target.write(member.number, index, resealer.reseal(index, sealed, old, new))
                start, end = plain_range(index, member.size)
                self._progress(end - start)

    def _begin(self, member: int, header: bytes) -> StreamCipher:
        # Before its first segment, which this header is needed to check again.
        self._target.note_header(member, header)
        return self._cipher(member, header)

    def _recheck(self, member: ArrivingMember, whole: WholeSha256) -> tuple[StreamCipher | None, int]:
        """Returns how many segments are there, and the cipher that they arrived with if there are any."""
        target, number = self._target, member.number
        try:
            # Read once: where somebody else comes to the end, the journal goes.
            old = self._cipher(number, target.noted_header(number))
            first = Recheck(member, target.extent(number), target.cipher(number), old, whole).run()
        except TamperedError:
            return None, 0
        return old if first else None, first

    def _kept(self, member: ArrivingMember, first: int) -> None:
        if first:
            size = plain_range(first - 1, member.size)[1]
            self.kept += size
            self._progress(size)

    def _cipher(self, member: int, header: bytes) -> StreamCipher:
        manifest = self._arrival.signed.manifest
        associated = associated_data(manifest.suite, manifest.bundle, member)
        return StreamCipher(manifest.suite, self._key, associated, header)

    def _check_inner_manifest(self) -> None:
        inner = inner_manifest(self._arrival.signed.manifest, self._read_inner_manifest)
        if inner.guard is not None:
            # NumPy takes as much memory as all the rest.
            from modelkeep.guard.profile_json import parse_profile

            parse_profile(inner.guard)

    def _read_inner_manifest(self, destination: memoryview) -> None:
        decrypt_installed(self._target.extent(0), lambda _header: self._target.cipher(0), destination)
