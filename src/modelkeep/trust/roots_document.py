"""A document about who signs trust files from now on: one of a chain.

Source: spec/trust-v1.md, "Roots".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, public_key
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.public_key import TrustedKey
from modelkeep.record import Record

FORMAT, VERSION = "modelkeep/roots", 1
MOST_ROOTS = 64
MOST_REMOVED = 10_000

_DIGEST_BYTES = 32
_LARGEST_PEM = 1024

Keys = Mapping[str, ec.EllipticCurvePublicKey]


@dataclass(frozen=True, slots=True)
class RootsDocument:
    """One document of the chain, as it says itself.

    Attributes:
        number: 1 for the first, one more for each that follows.
        set: the name of the chain: SHA-256 of the first document's payload; None in that one.
        keys: who signs, by fingerprint.
        threshold: how many of them have to.
        removed: fingerprints of all keys that ever signed and do not any more; none comes back.
    """

    number: int
    set: bytes | None
    keys: Keys
    threshold: int
    removed: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys) <= MOST_ROOTS:
            raise UsageError(
                f"the threshold lies between 1 and the number of different roots, at most {MOST_ROOTS}"
            )
        if (self.set is None) != (self.number == 1) or len(self.removed) > MOST_REMOVED:
            raise UsageError("the first roots document begins a chain, and others name it")
        if fingerprints(self.keys) & self.removed:
            raise UsageError("a root that was removed never comes back", hint="make a new key")

    @staticmethod
    def first(keys: Iterable[TrustedKey], threshold: int) -> RootsDocument:
        """Returns the document that begins a chain.

        Raises:
            UsageError: no root, or a threshold that cannot be reached.
            StorageError: a key file cannot be read.
        """
        return RootsDocument(1, None, by_fingerprint(keys), threshold)

    def following(
        self, add: Iterable[TrustedKey] = (), remove: Iterable[str] = (), threshold: int | None = None
    ) -> RootsDocument:
        """Returns the next document.

        Args:
            add: keys that sign from then on.
            remove: fingerprints of keys that do not any more.
            threshold: how many have to; by default as many as before.

        Raises:
            UsageError: a root that was removed comes back, one that is removed is none, or a threshold
                that cannot be reached.
            StorageError: a key file cannot be read.
        """
        gone = frozenset(remove)
        if unknown := gone - set(self.keys):
            raise UsageError(f"key sha256:{min(unknown)} is not among the roots")
        kept = {name: key for name, key in self.keys.items() if name not in gone}
        return RootsDocument(
            self.number + 1,
            self.set or self.digest,
            kept | by_fingerprint(add),
            self.threshold if threshold is None else threshold,
            self.removed | {bytes.fromhex(name) for name in gone},
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload, 32 bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Returns the payload, canonical JSON."""
        return canonical.encode(
            {
                "format": FORMAT,
                "version": VERSION,
                "number": self.number,
                "keys": [public_key.to_pem(self.keys[name]).decode() for name in sorted(self.keys)],
                "threshold": self.threshold,
                "removed": sorted(name.hex() for name in self.removed),
            }
            | ({} if self.set is None else {"set": self.set.hex()})
        )

    @staticmethod
    def from_bytes(payload: bytes) -> RootsDocument:
        """Reads a payload.

        Raises:
            MalformedError: not of this form.
            UnsupportedVersionError: made by a newer version.
        """
        with Record(canonical.decode(payload, "roots document"), "roots document") as record:
            record.check_format(FORMAT, VERSION)
            number, threshold = record.integer("number", lowest=1), record.integer("threshold")
            chain = record.hexadecimal("set", _DIGEST_BYTES) if "set" in record else None
            keys, removed = _keys(record), _removed(record)
        try:
            document = RootsDocument(number, chain, keys, threshold, removed)
        except UsageError as error:
            raise MalformedError(f"roots document: {error}") from None
        if document.to_bytes() != payload:
            raise MalformedError("roots document: says more than this version can show")
        return document

    def check_follows(self, before: RootsDocument) -> None:
        """Checks what a document has to say to follow `before`; its signatures are another matter.

        Raises:
            SignatureError: it cannot.
        """
        gone = fingerprints(before.keys) - fingerprints(self.keys)
        if self.set != (before.set or before.digest) or self.number != before.number + 1:
            raise SignatureError(f"roots document {self.number} does not follow document {before.number}")
        if not self.removed >= before.removed | gone:
            raise SignatureError(f"roots document {self.number} does not name all keys that were removed")


@dataclass(frozen=True, slots=True)
class RootsName:
    """How a trust file names its roots.

    Attributes:
        set: the name of the chain, 32 bytes.
        number: the number of the document whose keys sign it.
    """

    set: bytes
    number: int

    @staticmethod
    def of(document: RootsDocument) -> RootsName:
        """Returns the name of the roots that a document describes."""
        return RootsName(document.set or document.digest, document.number)


def by_fingerprint(keys: Iterable[TrustedKey]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Returns public keys by their fingerprints.

    Raises:
        StorageError: a file cannot be read.
        UsageError: not a public key.
    """
    return {public_key.fingerprint(key): key for key in map(public_key.load, keys)}


def fingerprints(keys: Iterable[str]) -> frozenset[bytes]:
    """Returns fingerprints in hexadecimal as bytes, 32 each."""
    return frozenset(map(bytes.fromhex, keys))


def _keys(record: Record) -> Keys:
    texts = record.items("keys", longest=MOST_ROOTS)
    if not all(isinstance(text, str) and len(text) <= _LARGEST_PEM for text in texts):
        raise record.fault("keys", "must list PEM public keys")
    try:
        keys = by_fingerprint(text.encode() for text in texts)
    except UsageError:
        raise record.fault("keys", "must list PEM public keys on supported curves") from None
    if [*keys] != sorted(keys) or len(keys) != len(texts):
        raise record.fault("keys", "must be in ascending order of fingerprints without repetition")
    return keys


def _removed(record: Record) -> frozenset[bytes]:
    texts = record.items("removed", longest=MOST_REMOVED)
    names = [
        Record({"id": text}, "roots document: removed").hexadecimal("id", _DIGEST_BYTES) for text in texts
    ]
    if names != sorted(set(names)):
        raise record.fault("removed", "must be in ascending order without repetition")
    return frozenset(names)
