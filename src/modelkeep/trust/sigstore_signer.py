"""A person or a workflow as Sigstore knows it, and by which signers it is recognised afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from modelkeep.errors import UsageError
from modelkeep.signer_id import LONGEST_SUBJECT, SignerId, TypedSubject


@dataclass(frozen=True, slots=True)
class SigstoreSigner:
    """An identity.

    Attributes:
        identity: an e-mail address, or the URI of a workflow, with the reference that it ran for.
        issuer: who vouched for it to Sigstore.

    Raises:
        UsageError: one is empty, too long, or not printable.
    """

    identity: str
    issuer: str

    def __post_init__(self) -> None:
        for text in (self.identity, self.issuer):
            if not 0 < len(text) <= LONGEST_SUBJECT or not text.isprintable():
                raise UsageError("an identity of Sigstore is a printable name, with a printable issuer")

    def __str__(self) -> str:
        return f"{self.identity} (by {self.issuer})"

    def signed_with(self, key: bytes) -> SignerId:
        """Returns the signer as devices remember it: keys of one identity differ, all else is the same.

        Args:
            key: fingerprint of the key of this one signature.
        """
        kind = "uri" if "://" in self.identity else "email"
        issuer = hashlib.sha256(self.issuer.encode()).digest()
        return SignerId(key, issuer, TypedSubject(kind, self.identity))

    def is_behind(self, signer: SignerId) -> bool:
        """Returns whether a signer is this identity."""
        return signer == self.signed_with(signer.key)
