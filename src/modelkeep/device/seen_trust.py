"""Which trust files a device has seen: the numbers that must not fall, whatever roots are configured.

Roots that form a chain of documents are one set for ever, and what is remembered of a chain counts for that
chain alone: anybody can name anybody's keys in a chain of his own. Loose keys belong together where a
threshold of them is the same: a file that those could sign must not be older than one that they signed.
Source: spec/trust-v1.md, "Numbers".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from modelkeep import canonical
from modelkeep.errors import RollbackError
from modelkeep.signer_id import SignerId


class SeenTrust(NamedTuple):
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
    documents: Mapping[int, bytes] = MappingProxyType({})

    @property
    def voucher(self) -> bytes:
        """See `TrustEntry.voucher`."""
        return _voucher(self.set, self.keys, self.threshold)


class TrustEntry(NamedTuple):
    """What is remembered of one set of roots.

    Attributes:
        set: the name of the chain, 32 bytes; None for loose keys.
        roots: the number of its newest document seen; 0 for loose keys.
        roots_digest: that document's digest, 32 bytes; None for loose keys.
        keys: fingerprints (32 bytes) of the root keys.
        threshold: how many of them sign.
        number: the number of the newest trust file seen.
        time: seconds since 1970-01-01 UTC that have passed, as these roots' files let a device remember.
    """

    set: bytes | None
    roots: int
    roots_digest: bytes | None
    keys: frozenset[bytes]
    threshold: int
    number: int
    time: int = 0

    @property
    def voucher(self) -> bytes:
        """The name, 32 bytes, by which a device remembers for whom something counted."""
        return _voucher(self.set, self.keys, self.threshold)

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
        if self.set is None:
            return len(self.keys & seen.keys) >= min(self.threshold, seen.threshold)
        if self.set == seen.set:
            self._check_branch(seen)
        return self.set == seen.set

    def _check_branch(self, seen: SeenTrust) -> None:
        if self.roots not in seen.documents:
            raise RollbackError(
                f"the trust file's roots end before document {self.roots}, which this device has seen",
                hint="bring the newest trust file of the publisher",
            )
        if seen.documents[self.roots] != self.roots_digest:
            raise RollbackError(
                f"there are two roots documents with number {self.roots}",
                hint="somebody has signed both: report it to the publisher, and trust neither",
            )

    def is_of(self, seen: SeenTrust) -> bool:
        """Returns whether both are of the same roots."""
        loose = self.keys == seen.keys and self.threshold == seen.threshold
        return self.set == seen.set and (self.set is not None or loose)


def with_seen(entries: tuple[TrustEntry, ...], seen: SeenTrust) -> tuple[TrustEntry, ...]:
    """Returns `entries` after `seen`, whose own entry is the last if it is new.

    Every entry of loose keys that counts for a file of loose keys is raised to its number. Otherwise, keys
    that were exchanged and come back would bring old files back.

    Raises:
        RollbackError: a newer file of these roots was seen before.
    """
    counting = [entry for entry in entries if entry.counts_for(seen)]
    known = max((entry.number for entry in counting), default=0)
    if seen.number < known:
        raise older_trust(seen.number, known)
    own = TrustEntry.of(seen)._replace(time=time_for(entries, seen))
    raised = [
        entry._replace(number=seen.number) if seen.set is None and entry in counting else entry
        for entry in entries
    ]
    if not any(entry.is_of(seen) for entry in entries):
        raised.append(own)
    return tuple(own if entry.is_of(seen) else entry for entry in raised)


def with_time(
    entries: tuple[TrustEntry, ...], which: Collection[TrustEntry], time: int
) -> tuple[TrustEntry, ...]:
    """Returns `entries`, some of them with another time."""
    return tuple(entry._replace(time=time) if entry in which else entry for entry in entries)


def time_for(entries: tuple[TrustEntry, ...], seen: SeenTrust) -> int:
    """Returns the time that has passed for readers of `seen`: of roots that are new, what counts for them.

    Raises:
        RollbackError: the roots of `seen` are older ones of the same chain, or another branch of it.
    """
    own = [entry.time for entry in entries if entry.is_of(seen)]
    return max(own or [entry.time for entry in entries if entry.counts_for(seen)], default=0)


def voucher_for(seen: SeenTrust | None, signer: SignerId) -> bytes:
    """Returns for whom something counts that a verifier accepts: its trust file's roots, or the signer."""
    return signer.key if seen is None else seen.voucher


def _voucher(chain: bytes | None, keys: frozenset[bytes], threshold: int) -> bytes:
    if chain is not None:
        return chain
    members = {"keys": sorted(key.hex() for key in keys), "threshold": threshold}
    return hashlib.sha256(canonical.encode(members)).digest()


def older_trust(number: int, known: int) -> RollbackError:
    """Returns the refusal of a trust file that is older than number `known`."""
    return RollbackError(
        f"trust file {number} is older than {known}, which this device has seen",
        hint="bring the newest trust file of the publisher",
    )
