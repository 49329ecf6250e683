"""A bundle on its way into a repository: read once, judged as devices judge it, written as it was judged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelkeep.bundle.arriving import ArrivingBundle, VerifiedArrival
from modelkeep.container.tape import Readable
from modelkeep.errors import MalformedError, StorageError, TamperedError, UsageError
from modelkeep.grants.grant import Grant
from modelkeep.manifest import Manifest
from modelkeep.payload.stream import Progress, no_progress
from modelkeep.storage import opened, words_for
from modelkeep.trust.bundle_verifier import BundleVerifier


class Candidate:
    """A bundle whose front was verified; the rest is verified while it is read.

    Attributes:
        manifest: what was signed.
        digest: SHA-256 of `manifest.json`, 32 bytes.
        size: length of the archive in bytes.
    """

    def __init__(self, stream: Readable, size: int, verifier: BundleVerifier) -> None:
        self.size = size
        self._tape = _Tape(stream)
        self._arrival: VerifiedArrival = ArrivingBundle(self._tape).verify(verifier)
        self.manifest: Manifest = self._arrival.signed.manifest
        self.digest = self._arrival.signed.front.manifest_digest

    def grants(self) -> Iterator[Grant]:
        """Gives the grants that the bundle brings along.

        Raises:
            MalformedError: one of them is none.
        """
        return self._arrival.embedded_grants()

    def pieces(self, progress: Progress) -> Iterator[bytes]:
        """Gives all bytes of the archive, each once it was held against what is signed; to be used once.

        Raises:
            TamperedError: something is not what was signed.
            MalformedError: it is cut short, or something follows.
            StorageError: it cannot be read, or was changed meanwhile.
        """
        yield from self._tape.taken()
        members = self._arrival.members()
        yield from self._tape.taken()
        for member in members:
            for _, sealed in member.segments(member.whole()):
                progress(len(sealed))
                yield from self._tape.taken()
        self._arrival.end()
        yield from self._tape.taken()
        self._check_end()

    def check(self, digest: bytes, progress: Progress = no_progress) -> None:
        """Reads all of it, and checks that its manifest has this SHA-256; raises what `pieces` does."""
        if self.digest != digest:
            raise TamperedError("another bundle is there than was published")
        for _ in self.pieces(progress):
            pass

    def _check_end(self) -> None:
        if self._tape.read(1):
            raise MalformedError("bundle: something follows its end")
        if self._tape.position != self.size:
            raise StorageError("the bundle was changed while it was read", hint="publish it again")


@contextmanager
def candidate(path: Path, verifier: BundleVerifier) -> Iterator[Candidate]:
    """Opens a bundle and judges its front, for the length of a `with` block.

    Raises:
        UsageError: a folder.
        StorageError: cannot be read.
        RefusedError, MalformedError: a device would not take it.
    """
    if path.is_dir():
        raise UsageError(
            f"{path}: a bundle in its folder form", hint="publish its archive: what devices take is one file"
        )
    with opened(path) as file, words_for(path):
        yield Candidate(file, os.fstat(file.fileno()).st_size, verifier)


class _Tape:
    """A stream that keeps what was read of it until somebody takes that."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._taken: list[bytes] = []
        self.position = 0

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes."""
        piece = self._stream.read(size) or b""
        self._taken.append(piece)
        self.position += len(piece)
        return piece

    def taken(self) -> list[bytes]:
        """Returns what was read since the last time."""
        found, self._taken = self._taken, []
        return found
