"""The documents of trust of a ceremony: roots, and the trust file that they sign."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelkeep import canonical, dsse, public_key
from modelkeep.errors import UsageError
from modelkeep.trust.envelope import Envelope, Kind
from modelkeep.trust.roots_document import Keys, RootsDocument, RootsName
from modelkeep.trust.trust_file import TrustFile
from modelkeep.updates.repository import founding
from modelkeep.updates.repository.catalogue import ROOTS_NAME, TRUST_NAME
from modelkeep.updates.repository.metadata import DAY, LIFETIME
from modelkeep.updates.repository.papers import Papers, same
from modelkeep.updates.repository.plan import Plan
from modelkeep.updates.repository.progress import Waiting
from modelkeep.updates.repository.published import Published


class TrustDrafts:
    """Both documents, as the plan and what is published want them, with the signatures that there are.

    Attributes:
        roots: the roots document.
        trust: the trust file.
    """

    def __init__(self, papers: Papers, plan: Plan, before: Published | None, now: int) -> None:
        self._papers, self._plan, self._now = papers, plan, now
        self._last_root = None if before is None else hashlib.sha256(before.root.signed_bytes).hexdigest()
        self._last_roots = _last(before, ROOTS_NAME, Kind.ROOTS)
        self._last_trust = _last(before, TRUST_NAME, Kind.TRUST)
        self.roots = self._drafted_roots()
        self.trust = self._drafted_trust()

    @property
    def digest(self) -> str:
        """SHA-256 of all that people agree on, hexadecimal: plan, documents of trust, what they change."""
        said = {
            "plan": self._plan.digest,
            "root": self._last_root,
            "roots": hashlib.sha256(self.roots.payload).hexdigest(),
            "trust": hashlib.sha256(self.trust.payload).hexdigest(),
        }
        return hashlib.sha256(canonical.encode(said)).hexdigest()

    def sign(self, signers: Sequence[dsse.EcdsaSigner]) -> None:
        """Adds signatures to both, and keeps them.

        Raises:
            UsageError: a key that signs neither.
            KeyStoreError: a key cannot be used.
        """
        for signer in signers:
            self._sign(signer)
        for envelope in (self.roots, self.trust):
            self._papers.write_envelope(envelope)

    def waiting(self) -> list[Waiting]:
        """Returns who has signed, and who could."""
        document = RootsDocument.from_bytes(self.roots.payload)
        found = [_waiting(f"roots document {document.number}", self.roots, document.keys, document.threshold)]
        if self._is_successor:
            last = RootsDocument.from_bytes(self._former_roots.payload)
            words = f"roots document {document.number}, by the roots before it"
            found.append(_waiting(words, self.roots, last.keys, last.threshold))
        number = TrustFile.unverified(self.trust).number
        return [*found, _waiting(f"trust file {number}", self.trust, document.keys, document.threshold)]

    def documents(self) -> Mapping[str, bytes]:
        """Returns both as targets, once both are complete."""
        chain = (*self.roots.documents, self.roots.bare()) if self.roots.documents else ()
        return founding.trust_documents(self.roots, replace(self.trust, documents=chain))

    @property
    def _is_successor(self) -> bool:
        return self._last_roots is not None and not same(self._last_roots, self.roots)

    @property
    def _former_roots(self) -> Envelope:
        assert self._last_roots is not None
        return self._last_roots

    def _sign(self, signer: dsse.EcdsaSigner) -> None:
        name, wanted = public_key.fingerprint(signer.public_key), RootsDocument.from_bytes(self.roots.payload)
        before = RootsDocument.from_bytes(self._former_roots.payload).keys if self._is_successor else {}
        if name not in wanted.keys and name not in before:
            raise UsageError(
                f"key sha256:{name} signs no trust files here", hint="keys of the channel go with -s"
            )
        self.roots = self.roots.signed(signer)
        if name in wanted.keys:
            TrustFile.unverified(self.trust).check_root(name)
            self.trust = self.trust.signed(signer)

    def _drafted_roots(self) -> Envelope:
        wanted = founding.roots_envelope(self._plan, self._last_roots)
        draft = self._papers.envelope(Kind.ROOTS)
        if draft is None or not same(draft, wanted) or wanted is self._last_roots:
            return wanted
        # What it brings along is what was published; the draft's own may be anything.
        return replace(draft, documents=wanted.documents)

    def _drafted_trust(self) -> Envelope:
        draft = self._papers.envelope(Kind.TRUST)
        if draft is not None and self._follows(TrustFile.unverified(draft), draft):
            return draft
        return founding.trust_envelope(self._plan, self.roots, self._last_trust, self._now)

    def _follows(self, trust: TrustFile, draft: Envelope) -> bool:
        roots = RootsDocument.from_bytes(self.roots.payload)
        if not self._now < trust.expires <= self._now + LIFETIME + DAY or trust.named_roots != RootsName.of(
            roots
        ):
            return False
        if self._last_trust is not None:
            return trust.number > TrustFile.unverified(self._last_trust).number
        return same(draft, founding.trust_envelope(self._plan, self.roots, None, trust.expires - LIFETIME))


def _last(before: Published | None, name: str, kind: Kind) -> Envelope | None:
    return None if before is None else Envelope.from_bytes(before.documents[name], kind)


def _waiting(what: str, envelope: Envelope, keys: Keys, threshold: int) -> Waiting:
    signed = envelope.signed_by(keys)
    return Waiting(what, len(signed), threshold, tuple(sorted(set(keys) - signed)))
