"""The envelope of what several keys sign: a payload, and signatures that come one after the other.

Source: spec/trust-v1.md, "Envelopes"; DSSE v1.0 (pre-authentication encoding).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep import canonical, dsse, public_key
from modelkeep.errors import MalformedError, SignatureError, UsageError
from modelkeep.record import Record

LARGEST_FILE = 2 * 2**20
MOST_SIGNATURES = 64
MOST_DOCUMENTS = 64

_FINGERPRINT_BYTES, _LARGEST_SIGNATURE = 32, 160


class Kind(Enum):
    """What a payload is: the signature covers it, so that none stands for another."""

    TRUST = "application/vnd.modelkeep.trust.v1+json"
    ROOTS = "application/vnd.modelkeep.roots.v1+json"
    TICKET = "application/vnd.modelkeep.ticket.v1+json"
    ROSTER = "application/vnd.modelkeep.roster.v1+json"
    JOURNAL = "application/vnd.modelkeep.journal.v1+json"

    @property
    def words(self) -> str:
        """What people call it."""
        return _WORDS[self][0]

    @property
    def signers(self) -> str:
        """What people call those who sign it."""
        return _WORDS[self][1]


_WORDS = {
    Kind.TRUST: ("trust file", "roots"),
    Kind.ROOTS: ("roots document", "roots"),
    Kind.TICKET: ("ticket", "roots"),
    Kind.ROSTER: ("roster", "operators"),
    Kind.JOURNAL: ("journal's head", "grant signers"),
}
_KINDS = {kind.value: kind for kind in Kind}
# What roots sign; others sign the other kinds, and a key has one purpose.
OF_ROOTS = (Kind.TRUST, Kind.ROOTS, Kind.TICKET)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is verified.

    Attributes:
        kind: what the payload is.
        payload: what is signed, exactly as it was received.
        signatures: pairs of a key's fingerprint, as claimed, and a DER-encoded ECDSA signature.
        documents: the roots documents that it brings along, from the first one of their chain on, each in
            an envelope of its own; no signature of this one covers them, for they vouch for themselves.
    """

    kind: Kind
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()
    documents: tuple[Envelope, ...] = ()

    @staticmethod
    def from_bytes(data: bytes, *kinds: Kind) -> Envelope:
        """Takes a file apart without trusting any of it.

        Args:
            data: the file.
            kinds: what it may be; by default what roots sign.

        Raises:
            SignatureError: a document of another kind.
            MalformedError: not an envelope, or beyond its limits.
        """
        expected = kinds or OF_ROOTS
        what = expected[0].words
        if len(data) > LARGEST_FILE:
            raise MalformedError(f"{what}: larger than {LARGEST_FILE} bytes")
        envelope = _parse(canonical.decode(data, what), what)
        if envelope.kind not in expected:
            raise SignatureError(f"the file is a document of another kind: a {envelope.kind.words}")
        return envelope

    def to_bytes(self) -> bytes:
        """Returns the file.

        Raises:
            UsageError: it would be too large to be read again.
        """
        data = canonical.encode(self._to_json())
        if len(data) > LARGEST_FILE:
            raise _too_large()
        return data

    def signed_by(self, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> frozenset[str]:
        """Returns which of `keys` (by fingerprint) signed the payload."""
        return frozenset(
            name for name, value in self.signatures if name in keys and self._holds(keys[name], value)
        )

    def check_signed(self, keys: Mapping[str, ec.EllipticCurvePublicKey], threshold: int) -> frozenset[str]:
        """Returns which of `keys` (by fingerprint) signed the payload, if they are enough different ones.

        Raises:
            SignatureError: too few did.
        """
        signers = self.signed_by(keys)
        if len(signers) < threshold:
            who = f"{len(signers)} of its {self.kind.signers}, and {threshold} are needed"
            raise SignatureError(f"the {self.kind.words} is signed by {who}")
        return signers

    def signed(self, signer: dsse.EcdsaSigner) -> Envelope:
        """Returns the envelope with the signature of `signer` besides; the same one if it has that already.

        Raises:
            SignatureError: the signer returned something that its own key does not verify.
            KeyStoreError: the signer's key cannot be used.
        """
        name = public_key.fingerprint(signer.public_key)
        if self.signed_by({name: signer.public_key}):
            return self
        signature = signer.sign(dsse.pae(self.kind.value, self.payload))
        # A faulty device or adapter shows here, and not on ten thousand devices.
        dsse.verify(signer.public_key, signature, self.kind.value, self.payload)
        # What claimed to be this key's and did not hold makes room for what does.
        others = tuple(each for each in self.signatures if each[0] != name)
        return replace(self, signatures=(*others, (name, signature)))

    def bare(self) -> Envelope:
        """Returns the envelope without the documents that it brings along."""
        return replace(self, documents=())

    def _to_json(self) -> dict[str, Any]:
        if len(self.signatures) > MOST_SIGNATURES or len(self.documents) > MOST_DOCUMENTS:
            raise _too_large()
        members: dict[str, Any] = {
            "payload": _text(self.payload),
            "payloadType": self.kind.value,
            "signatures": [{"key": name, "signature": _text(value)} for name, value in self.signatures],
        }
        documents = [document._to_json() for document in self.documents]
        return members | ({"documents": documents} if documents else {})

    def _holds(self, key: ec.EllipticCurvePublicKey, signature: bytes) -> bool:
        try:
            dsse.verify(key, signature, self.kind.value, self.payload)
        except SignatureError:
            return False
        return True


def _parse(value: object, what: str = Kind.ROOTS.words) -> Envelope:
    with Record(value, what) as record:
        kind = _KINDS.get(record.text("payloadType"))
        if kind is None:
            raise SignatureError("the file is a document of another kind")
        payload = record.base64("payload", longest=LARGEST_FILE)
        signatures = tuple(map(_signature, record.items("signatures", longest=MOST_SIGNATURES)))
        return Envelope(kind, payload, signatures, _documents(record))


def _documents(record: Record) -> tuple[Envelope, ...]:
    if "documents" not in record:
        return ()
    documents = tuple(map(_parse, items := record.items("documents", longest=MOST_DOCUMENTS)))
    if not items or any(each.kind is not Kind.ROOTS or each.documents for each in documents):
        raise record.fault("documents", "must list roots documents, which bring none along")
    return documents


def _signature(item: object) -> tuple[str, bytes]:
    with Record(item, "trust file: signature") as record:
        name = record.hexadecimal("key", _FINGERPRINT_BYTES).hex()
        return name, record.base64("signature", longest=_LARGEST_SIGNATURE)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _too_large() -> UsageError:
    return UsageError(
        f"a trust file has at most {MOST_SIGNATURES} signatures, {MOST_DOCUMENTS} roots documents and "
        f"{LARGEST_FILE} bytes",
        hint="leave out publishers and bundles that are long forgotten",
    )
