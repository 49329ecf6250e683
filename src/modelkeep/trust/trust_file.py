"""The trust file: who may sign which families of models, from when to when, and what is revoked.

A DSSE envelope whose signatures count by threshold: one stolen root key changes nothing. How devices
get a new file is left to what carries it; the documents by which roots are replaced travel with it.
Source: spec/trust-v1.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelkeep import dsse, public_key
from modelkeep.errors import ExpiredError, MalformedError, RollbackError, UsageError
from modelkeep.manifest import Manifest
from modelkeep.public_key import TrustedKey
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust import trust_payload
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.publisher import Publisher
from modelkeep.trust.roots import Roots
from modelkeep.trust.roots_document import RootsName

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class TrustFile:
    """What a device believes about publishers.

    Attributes:
        number: grows with every new file.
        expires: last second at which it counts, since 1970-01-01 UTC.
        publishers: who may sign.
        revoked_keys: fingerprints of keys that must not count, whatever else says they do.
        revoked_bundles: ids (16 bytes) of bundles that must not be opened.
        void: ids of bundles that must not be opened, and do not count among those that were
            installed either. No later file leaves one out.
        floors: by model id, the place in its order of releases below which nothing counts.
        authorities: roots of the authorities whose signed times count.
        sigstore_root: Sigstore's trusted root (JSON), where publishers are identities; else empty.
        named_roots: the document of a chain whose keys sign it; None where devices have loose keys.
        roots: the roots that it was verified with; None if it was not. Devices remember the number of
            the newest file under them.
    """

    number: int
    expires: int
    publishers: tuple[Publisher, ...]
    revoked_keys: frozenset[str] = frozenset()
    revoked_bundles: frozenset[bytes] = frozenset()
    void: frozenset[bytes] = frozenset()
    floors: Mapping[str, ReleaseOrder] = field(default_factory=dict)
    authorities: tuple[x509.Certificate, ...] = ()
    sigstore_root: str = ""
    named_roots: RootsName | None = None
    roots: Roots | None = field(default=None, compare=False)

    def to_bytes(self, *signers: dsse.EcdsaSigner, documents: Sequence[Envelope] = ()) -> bytes:
        """Returns the file, signed by each of `signers`.

        Args:
            signers: those who sign at once; others may follow.
            documents: the roots documents that it brings along.

        Raises:
            UsageError: it would be too large to be read again, or a signer is one of the publishers.
            SignatureError, KeyStoreError: a signer cannot sign.
        """
        envelope = Envelope(Kind.TRUST, trust_payload.encode(self), documents=tuple(documents))
        for signer in signers:
            self.check_root(public_key.fingerprint(signer.public_key))
            envelope = envelope.signed(signer)
        return envelope.to_bytes()

    @staticmethod
    def from_bytes(
        data: bytes, roots: Sequence[TrustedKey] | Roots, threshold: int = 1, *, minimum: int = 0
    ) -> TrustFile:
        """Reads a file whose signatures are verified before anything in it is looked at.

        Args:
            data: the file as it was received.
            roots: keys that may sign trust files: PEM bytes, path of a PEM file, or key object; or the
                roots of a document.
            threshold: how many different keys must have signed; a document says so itself.
            minimum: lowest number that counts: that of the newest file seen so far.

        Raises:
            UsageError: no root, or a threshold that cannot be reached.
            SignatureError: too few of the roots signed this, or a document that it brings along.
            RollbackError: an older file, or one of roots that were replaced since.
            MalformedError: not a trust file.
        """
        known = roots if isinstance(roots, Roots) else Roots.of_keys(roots, threshold)
        envelope = Envelope.from_bytes(data, Kind.TRUST)
        followed = known.following(envelope.documents)
        envelope.check_signed(followed.keys, followed.threshold)
        trust = TrustFile.unverified(envelope)
        followed.check_named(trust.named_roots)
        if trust.number < minimum:
            raise RollbackError(f"trust file {trust.number} is older than {minimum}, which was seen before")
        return replace(trust, roots=followed)

    @staticmethod
    def unverified(envelope: Envelope) -> TrustFile:
        """Returns what a file says of itself: for showing it, and for making the next one.

        Raises:
            MalformedError: not a trust file.
            UnsupportedVersionError: made by a newer version.
        """
        trust = TrustFile(**trust_payload.decode(envelope.payload))
        # Whoever is asked to sign is shown what was understood, so there must not be more.
        if trust_payload.encode(trust) != envelope.payload:
            raise MalformedError("trust file: says more than this version can show")
        return trust

    def vouches(self, model: str, signer: SignerId) -> bool:
        """Returns whether what `signer` once signed of `model` counts.

        Whatever the time and its own limits of time: a set clock must not bring older releases back.
        """
        return signer.key.hex() not in self.revoked_keys and any(
            each.is_behind(signer) and each.signs(model) for each in self.publishers
        )

    def allows(self, manifest: Manifest, signer: SignerId) -> bool:
        """Returns whether `signer` is a publisher that may sign a release, with all its limits."""
        return signer.key.hex() not in self.revoked_keys and any(
            each.is_behind(signer) and each.may_sign(manifest) for each in self.publishers
        )

    def check_root(self, fingerprint: str) -> None:
        """Refuses a root that is a publisher of this file: who holds such a key could extend its own rights.

        Raises:
            UsageError: it is.
        """
        if any(each.fingerprint == fingerprint for each in self.publishers):
            raise UsageError(
                "this key is a publisher of this file, and does not sign it",
                hint="use a key of its own that signs trust files: modelkeep keys create --kind root",
            )

    def check_time(self, now: int) -> None:
        """Checks that the file still counts at `now` (seconds since 1970-01-01 UTC).

        Raises:
            ExpiredError: it does not.
        """
        if now > self.expires:
            raise ExpiredError("the trust file has expired", hint="get a newer one from the publisher")
