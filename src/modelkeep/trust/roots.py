"""Who signs trust files: keys that a device was given one by one, or a chain of documents about them.

Each document names the keys that sign from then on, and is signed by those before it and by its own: a
device that knows one document of the chain follows it to the newest, whoever brings it. The name of a chain
is the digest of its first document, so that a chain is shown from there: nobody else can claim its name.
Source: spec/trust-v1.md, "Roots".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelkeep.errors import RollbackError, SignatureError, UsageError
from modelkeep.public_key import TrustedKey
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots_document import Keys, RootsDocument, RootsName, by_fingerprint, fingerprints


@dataclass(frozen=True, slots=True)
class Roots:
    """Who signs trust files, as far as a device knows.

    Attributes:
        keys: the roots in force, by fingerprint.
        threshold: how many of them have to sign.
        newest: the newest document of the chain that was followed; None for loose keys.
        documents: digest (32 bytes) of each document that was followed, by its number; empty for loose keys.
    """

    keys: Keys
    threshold: int
    newest: RootsDocument | None = None
    documents: Mapping[int, bytes] = field(default_factory=dict)

    @staticmethod
    def of_keys(keys: Iterable[TrustedKey], threshold: int = 1) -> Roots:
        """Returns roots that were given one by one.

        Raises:
            UsageError: no root, or a threshold that cannot be reached.
            StorageError: a key file cannot be read.
        """
        named = by_fingerprint(keys)
        if not 1 <= threshold <= len(named):
            raise UsageError("the threshold lies between 1 and the number of different keys that sign")
        return Roots(named, threshold)

    @staticmethod
    def of_document(data: bytes) -> Roots:
        """Returns the roots of a document that a device was given, any one of its chain.

        Raises:
            SignatureError: its own roots have not signed it.
            MalformedError: not a roots document.
            UnsupportedVersionError: made by a newer version.
        """
        return Roots.of_envelope(Envelope.from_bytes(data, Kind.ROOTS))

    @property
    def set(self) -> bytes | None:
        """The name of the chain, 32 bytes; None for loose keys."""
        return None if self.newest is None else self.newest.set or self.newest.digest

    @property
    def fingerprints(self) -> frozenset[bytes]:
        """The fingerprints of the roots in force, 32 bytes each."""
        return fingerprints(self.keys)

    def following(self, documents: Sequence[Envelope]) -> Roots:
        """Follows the chain along the documents that a trust file brings: from the first to the newest.

        Raises:
            SignatureError: one is not signed by the roots before it and by its own, or does not follow; the
                first one is missing, or another one has the number of the document that is known.
            RollbackError: they end before the document that is known.
            MalformedError: one is not a roots document.
        """
        if self.newest is None or not documents:
            return self
        chain = _chain(documents)
        self._check_known(self.newest, chain)
        return chain

    @staticmethod
    def of_envelope(envelope: Envelope) -> Roots:
        """Returns the roots of a document.

        Raises:
            SignatureError: its own roots have not signed it.
            MalformedError: not a roots document.
        """
        return _chain([envelope])

    @staticmethod
    def _check_known(known: RootsDocument, chain: Roots) -> None:
        if max(chain.documents) < known.number:
            raise _replaced()
        if chain.documents.get(known.number, known.digest) != known.digest:
            raise SignatureError(
                f"there are two roots documents with number {known.number}",
                hint="somebody has signed both: report it to the publisher, and trust neither",
            )

    def check_named(self, named: RootsName | None) -> None:
        """Checks that a trust file is one of these roots' own; loose keys are not named anywhere.

        Raises:
            SignatureError: it names another chain, or none, or did not bring the document that the chain is
                named by.
            RollbackError: it names roots that were replaced since.
        """
        if self.newest is None:
            return
        if named is None or named.set != self.set or named.number > self.newest.number:
            raise SignatureError(
                "the trust file is not one of these roots", hint="ask the publisher for theirs"
            )
        if named.number < self.newest.number:
            raise _replaced()
        if 1 not in self.documents:
            raise SignatureError(
                "the trust file does not bring its roots documents from the first one on",
                hint="make it with the newest roots document, which has those before it inside",
            )


def _chain(documents: Sequence[Envelope]) -> Roots:
    first, *others = documents
    newest = _signed_document(first)
    known = {newest.number: newest.digest}
    for envelope in others:
        document = _signed_document(envelope)
        document.check_follows(newest)
        envelope.check_signed(newest.keys, newest.threshold)
        known[document.number] = document.digest
        newest = document
    return Roots(newest.keys, newest.threshold, newest, known)


def _signed_document(envelope: Envelope) -> RootsDocument:
    document = RootsDocument.from_bytes(envelope.payload)
    envelope.check_signed(document.keys, document.threshold)
    return document


def _replaced() -> RollbackError:
    return RollbackError("the trust file is of roots that were replaced since", hint="bring a newer one")
