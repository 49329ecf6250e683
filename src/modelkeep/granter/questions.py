"""Questions that were asked and wait for their answers, each for one answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelkeep.granter.handover import ask_old_key
from modelkeep.granter.index import DAY, Index
from modelkeep.granter.question import Question
from modelkeep.granter.request import Request
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.posture.challenge import Asked
from modelkeep.posture.evidence import Evidence
from modelkeep.posture.judging import Anchors, ask

# Who asks for more takes the place of his own older ones.
MOST_OF_ONE = 8
# Nobody waits longer for an answer.
_LONGEST_WAIT = 30 * DAY


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """What the granter keeps of a question.

    Attributes:
        asked: the question and the secrets of its credentials.
        device: which key it is about, SHA-256 of the public key; empty for a key that is still to be made.
        old: which key that one replaces, likewise; empty for none.
        expected: the answer of that key, 32 bytes; empty for none.
    """

    asked: Asked
    device: bytes
    old: bytes
    expected: bytes


class Questions:
    """The questions in the index."""

    def __init__(self, index: Index, origin: str) -> None:
        self._index = index
        self._origin = origin

    def ask(
        self, request: Request, device: bytes, subject: bytes, anchors: Anchors, now: int, old: bytes = b""
    ) -> Question:
        """Returns a new question to whoever sent a request, and keeps what its answer is held against.

        Args:
            request: with the introduction of a TPM, or without.
            device: SHA-256 of the key that asks.
            subject: on whose account it goes.
            anchors: whom to believe about hardware.
            now: seconds since 1970-01-01 UTC.
            old: SHA-256 of the key that is to be replaced; empty for none.

        Raises:
            RefusedError: the introduction names a TPM that no maker vouches for.
            MalformedError: it is not in form.
        """
        asked = ask(self._origin, now, _introduction(request.evidence), anchors)
        sealed, expected = None, b""
        if old and request.handover is not None:
            keys = _bare(request.handover.old), _bare(request.recipient)
            sealed, expected = ask_old_key(asked.challenge, *keys)
        self._keep(AskedQuestion(asked, device, old, expected), subject, now)
        return Question(asked.challenge, sealed)

    def ask_anybody(self, now: int) -> Question:
        """Returns a question to a key that is still to be made, as Android attests them."""
        asked = ask(self._origin, now)
        self._keep(AskedQuestion(asked, b"", b"", b""), b"", now, most=1000)
        return Question(asked.challenge)

    def answered_by(self, request: Request, device: bytes, now: int) -> AskedQuestion | None:
        """Returns the question that a request answers, if it was asked about this key and is still open."""
        nonces = {each for each in (_nonce(request.evidence), _handover_nonce(request)) if each is not None}
        if len(nonces) != 1:
            return None
        row = self._index.database.execute(
            "SELECT asked, device, old, expected FROM questions WHERE nonce = ? AND made_at >= ?",
            (nonces.pop(), now - _LONGEST_WAIT),
        ).fetchone()
        if row is None or row[1] not in (b"", device):
            return None
        return AskedQuestion(Asked.from_bytes(row[0]), *row[1:])

    def _keep(self, question: AskedQuestion, subject: bytes, now: int, most: int = MOST_OF_ONE) -> None:
        database, nonce = self._index.database, question.asked.challenge.nonce
        database.execute("DELETE FROM questions WHERE made_at < ?", (now - _LONGEST_WAIT,))
        database.execute(
            "DELETE FROM questions WHERE nonce IN (SELECT nonce FROM questions WHERE subject = ? "
            "ORDER BY made_at DESC LIMIT -1 OFFSET ?)",
            (subject, most - 1),
        )
        row = (
            nonce,
            subject,
            question.device,
            question.asked.to_bytes(),
            question.old,
            question.expected,
            now,
        )
        database.execute("INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def open_about(index: Index, device: bytes) -> list[bytes]:
    """Returns the nonces of all open questions about a key, so that nobody keeps answers for later."""
    rows = index.database.execute("SELECT nonce FROM questions WHERE device = ?", (device,))
    return [nonce for (nonce,) in rows]


def forget(index: Index, nonces: Iterable[bytes]) -> None:
    """Lets no second answer to these questions count."""
    index.database.executemany("DELETE FROM questions WHERE nonce = ?", ((each,) for each in nonces))


def _introduction(evidence: Evidence | None) -> Evidence | None:
    return evidence if evidence is not None and evidence.tpm is not None else None


def _nonce(evidence: Evidence | None) -> bytes | None:
    return None if evidence is None else evidence.nonce


def _handover_nonce(request: Request) -> bytes | None:
    return None if request.handover is None else request.handover.nonce


def _bare(key: HpkeRecipient) -> HpkeRecipient:
    return HpkeRecipient(key.type, key.public)
