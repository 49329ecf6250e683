"""Which trust files a device has seen: the numbers that must not fall, whatever roots are configured.

Roots that form a chain of documents are one set for ever. Loose keys belong together where a threshold
of them is the same: a file that those could sign must not be older than one that they signed.
Source: spec/trust-v1.md, "Numbers".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelkeep.errors import RollbackError


@dataclass(frozen=True, slots=True)
class SeenTrust:
    """A verified trust file, as far as a device remembers it.

    Attributes:
        number: its number.
        keys: fingerprints (32 bytes) of the root keys in force.
        threshold: how many of them must have signed.
        set: the name of the chain of roots documents, 32 bytes; None for loose keys.
        documents: digest (32 bytes) of each verified document of the chain, by its number.
    """

    number: int
    keys: frozenset[bytes]
    threshold: int
    set: bytes | None = None
    documents: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrustEntry:
    """What is remembered of one set of roots.

    Attributes:
        set: the name of the chain, 32 bytes; None for loose keys.
        roots: the number of its newest document seen; 0 for loose keys.
        roots_digest: that document's digest, 32 bytes; None for loose keys.
        keys: fingerprints (32 bytes) of the root keys.
        threshold: how many of them sign.
        number: the number of the newest trust file seen.
    """

    set: bytes | None
    roots: int
    roots_digest: bytes | None
    keys: frozenset[bytes]
    threshold: int
    number: int

    @staticmethod
    def of(seen: SeenTrust) -> TrustEntry:
        """Returns the entry of the file's own roots."""
        roots = max(seen.documents, default=0)
        digest = seen.documents.get(roots)
        return TrustEntry(seen.set, roots, digest, seen.keys, seen.threshold, seen.number)

    def counts_for(self, seen: SeenTrust) -> bool:
        """Returns whether `seen` must not be older than this entry's file.

        Raises:
            RollbackError: the roots of `seen` are older ones of the same chain, or another branch of it.
        """
        if self.set is not None and self.set == seen.set:
            self._check_branch(seen)
            return True
        return len(self.keys & seen.keys) >= min(self.threshold, seen.threshold)

    def _check_branch(self, seen: SeenTrust) -> None:
        if max(seen.documents, default=0) < self.roots:
            raise RollbackError(
                f"the trust file's roots end before document {self.roots}, which this device has seen",
                hint="bring the newest trust file of the publisher",
            )
        # Nothing is known of a document from before the configured one, which vouches for the rest.
        if seen.documents.get(self.roots, self.roots_digest) != self.roots_digest:
            raise RollbackError(
                f"there are two roots documents with number {self.roots}",
                hint="somebody has signed both: report it to the publisher, and trust neither",
            )

    def is_of(self, other: TrustEntry) -> bool:
        """Returns whether both are of the same roots."""
        return self.set == other.set and (self.set is not None or self.keys == other.keys)


def with_seen(entries: tuple[TrustEntry, ...], seen: SeenTrust) -> tuple[TrustEntry, ...]:
    """Returns `entries` after `seen`: every entry that counts for it is raised to its number.

    Otherwise, roots that were exchanged and come back would bring old files back.

    Raises:
        RollbackError: a newer file of these roots was seen before.
    """
    counting = {entry for entry in entries if entry.counts_for(seen)}
    known = max((entry.number for entry in counting), default=0)
    if seen.number < known:
        raise older_trust(seen.number, known)
    own = TrustEntry.of(seen)
    raised = [
        replace(entry, number=seen.number) if entry in counting else entry
        for entry in entries
        if not entry.is_of(own)
    ]
    places = [place for place, entry in enumerate(entries) if entry.is_of(own)]
    raised.insert(places[0] if places else len(raised), own)
    return tuple(raised)


def older_trust(number: int, known: int) -> RollbackError:
    """Returns the refusal of a trust file that is older than number `known`."""
    return RollbackError(
        f"trust file {number} is older than {known}, which this device has seen",
        hint="bring the newest trust file of the publisher",
    )
