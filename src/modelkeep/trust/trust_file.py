"""The trust file: which keys may sign which families of models, from when to when, and what is revoked.

A DSSE envelope whose signatures count by threshold: one stolen root key changes nothing. How devices
get a new file, and how root keys are replaced, is left to what carries it; TUF does both.
Source: spec/trust-v1.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.errors import (
    ExpiredError,
    RollbackError,
    SignatureError,
    UnsupportedVersionError,
    UsageError,
)
from modelkeep.public_key import TrustedKey
from modelkeep.record import Record
from modelkeep.trust.trust_envelope import TrustEnvelope

FORMAT, VERSION = "modelkeep/trust", 1
MOST_PUBLISHERS, MOST_REVOKED = 1024, 10_000
LATEST_TIME = 253_402_300_799
EVERY_FAMILY = "*"

_FINGERPRINT_BYTES, _BUNDLE_BYTES = 32, 16
_LARGEST_PEM = 1024


@dataclass(frozen=True, slots=True)
class Publisher:
    """A key that may sign bundles.

    Attributes:
        key: P-256, P-384 or P-521.
        families: the families of models it may sign; ``*`` stands for every one.
        not_before: first second at which its bundles may be sealed, since 1970-01-01 UTC.
        not_after: last second.
    """

    key: ec.EllipticCurvePublicKey
    families: tuple[str, ...]
    not_before: int = 0
    not_after: int = LATEST_TIME

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the key's PEM form."""
        return public_key.fingerprint(self.key)

    def may_sign(self, family: str, sealed_at: int) -> bool:
        """Returns whether a bundle of `family` that was sealed then may be signed with this key."""
        return (
            bool({family, EVERY_FAMILY} & set(self.families))
            and self.not_before <= sealed_at <= self.not_after
        )


@dataclass(frozen=True, slots=True)
class TrustFile:
    """What a device believes about publishers.

    Attributes:
        number: grows with every new file.
        expires: last second at which it counts, since 1970-01-01 UTC.
        publishers: who may sign.
        revoked_keys: fingerprints of keys that must not count, whatever else says they do.
        revoked_bundles: ids (16 bytes) of bundles that must not be opened.
        roots: which roots it was verified with: SHA-256 of their fingerprints, sorted; None if it
            was not. Devices remember the number of the newest file under this name.
    """

    number: int
    expires: int
    publishers: tuple[Publisher, ...]
    revoked_keys: frozenset[str] = frozenset()
    revoked_bundles: frozenset[bytes] = frozenset()
    roots: bytes | None = field(default=None, compare=False)

    def to_bytes(self, *signers: dsse.EcdsaSigner) -> bytes:
        """Returns the file, signed by each of `signers`.

        Raises:
            UsageError: it would be too large to be read again.
            SignatureError, KeyStoreError: a signer cannot sign.
        """
        envelope = TrustEnvelope(canonical.encode(_to_json(self)))
        for signer in signers:
            envelope = envelope.signed(signer)
        return envelope.to_bytes()

    @staticmethod
    def from_bytes(
        data: bytes, roots: Sequence[TrustedKey], threshold: int = 1, *, minimum: int = 0
    ) -> TrustFile:
        """Reads a file whose signatures are verified before anything in it is looked at.

        Args:
            data: the file as it was received.
            roots: keys that may sign trust files: PEM bytes, path of a PEM file, or key object.
            threshold: how many different ones of them must have signed.
            minimum: lowest number that counts: that of the newest file seen so far.

        Raises:
            UsageError: no root, or a threshold that cannot be reached.
            SignatureError: too few of the roots signed this.
            RollbackError: an older file.
            MalformedError: not a trust file.
        """
        keys = {public_key.fingerprint(key): key for key in map(public_key.load, roots)}
        if not 1 <= threshold <= len(keys):
            raise UsageError("the threshold of a trust file lies between 1 and the number of different roots")
        envelope = TrustEnvelope.from_bytes(data)
        signed_by = envelope.signed_by(keys)
        if len(signed_by) < threshold:
            raise SignatureError(
                f"the trust file is signed by {len(signed_by)} of its roots, and {threshold} are needed"
            )
        trust = _parse(envelope.payload)
        if trust.number < minimum:
            raise RollbackError(f"trust file {trust.number} is older than {minimum}, which was seen before")
        return replace(trust, roots=_name_of(keys))

    @staticmethod
    def unverified(envelope: TrustEnvelope) -> TrustFile:
        """Returns what a file says of itself: for showing it, and for making the next one.

        Raises:
            MalformedError: not a trust file.
            UnsupportedVersionError: made by a newer version.
        """
        return _parse(envelope.payload)

    def check_time(self, now: int) -> None:
        """Checks that the file still counts at `now` (seconds since 1970-01-01 UTC).

        Raises:
            ExpiredError: it does not.
        """
        if now > self.expires:
            raise ExpiredError("the trust file has expired", hint="get a newer one from the publisher")


def _name_of(roots: Iterable[str]) -> bytes:
    # Not in their order: whoever configures a device writes the same roots in another one.
    return hashlib.sha256(b"".join(sorted(map(bytes.fromhex, roots)))).digest()


def _parse(payload: bytes) -> TrustFile:
    with Record(canonical.decode(payload, "trust file"), "trust file") as record:
        if record.text("format") != FORMAT:
            raise record.fault("format", f"must be {FORMAT!r}")
        if record.integer("version") != VERSION:
            raise UnsupportedVersionError("trust file: made by a newer version", hint="update modelkeep")
        with record.object("revoked") as revoked:
            keys = _identifiers(revoked, "keys", _FINGERPRINT_BYTES)
            bundles = _identifiers(revoked, "bundles", _BUNDLE_BYTES)
        return TrustFile(
            record.integer("number"),
            record.integer("expires", highest=LATEST_TIME),
            tuple(map(_publisher, record.items("publishers", longest=MOST_PUBLISHERS))),
            frozenset(key.hex() for key in keys),
            frozenset(bundles),
        )


def _publisher(item: object) -> Publisher:
    with Record(item, "trust file: publisher") as record:
        try:
            key = public_key.load(record.text("key", longest=_LARGEST_PEM).encode())
        except UsageError:
            raise record.fault("key", "is not a PEM public key on a supported curve") from None
        families = record.items("families", longest=MOST_PUBLISHERS)
        if not all(isinstance(family, str) for family in families):
            raise record.fault("families", "must list names")
        not_before = record.integer("not_before", highest=LATEST_TIME)
        return Publisher(key, tuple(families), not_before, record.integer("not_after", highest=LATEST_TIME))


def _identifiers(record: Record, name: str, size: int) -> list[bytes]:
    texts = record.items(name, longest=MOST_REVOKED)
    return [Record({"id": text}, f"trust file: revoked {name}").hexadecimal("id", size) for text in texts]


def _to_json(trust: TrustFile) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "number": trust.number,
        "expires": trust.expires,
        "publishers": [
            {
                "key": public_key.to_pem(publisher.key).decode(),
                "families": list(publisher.families),
                "not_before": publisher.not_before,
                "not_after": publisher.not_after,
            }
            for publisher in trust.publishers
        ],
        "revoked": {
            "keys": sorted(trust.revoked_keys),
            "bundles": sorted(bundle.hex() for bundle in trust.revoked_bundles),
        },
    }
