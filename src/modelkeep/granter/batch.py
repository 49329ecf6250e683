"""A batch of decisions: its lines for the journal, its answers, and everything done in the order that lasts.

Everything is written down first (the outbox), then the journal is appended to, then answers are put out, then
requests go. Cut off anywhere, the next run does the same again, and nothing is put out that has no line.
"""

from __future__ import annotations

from modelkeep.granter.deciding import Decision
from modelkeep.granter.journal import Draft, Place
from modelkeep.granter.journal_entry import Event, Fact
from modelkeep.granter.mailbox import Answers, Received, Requests
from modelkeep.granter.outbox import Outbox
from modelkeep.granter.questions import forget, open_about
from modelkeep.granter.request import Request
from modelkeep.granter.state import State

# Of those, and of what strangers send, only the number is kept: who fills a folder must not fill the journal.
MOST_REFUSALS_A_DAY = 1000
LONGEST_REASON = 400


class Batch:
    """Decisions that are made, and count for those that follow, but are not done yet.

    Args:
        state: the granter's own folder.
        start: the place in the journal that its lines follow.
        now: when it is made, in seconds since 1970-01-01 UTC.
    """

    def __init__(self, state: State, start: Place, now: int) -> None:
        self._state = state
        self._draft = Draft(start)
        self._now = now
        self._answers: dict[str, str] = {}
        self._requests: dict[str, str] = {}
        self._spent: list[str] = []
        self._unnamed = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self._draft.lines or self._answers or self._requests or self._unnamed)

    @property
    def end(self) -> Place:
        """The place behind its lines."""
        return self._draft.end

    def note(self, event: Event, **facts: Fact) -> None:
        """Adds a line to the journal, which counts at once for what is decided next."""
        self._state.index.take_in(self._draft.add(self._now, event, facts))

    def put(self, name: str, data: bytes) -> None:
        """Adds a file to the answers; nothing removes it."""
        self._answers[name] = data.decode()

    def answered(self, received: Received) -> None:
        """Notes that a request needs nothing more."""
        self._requests[received.name] = received.file

    def spent(self, nonce: bytes, device: bytes) -> None:
        """Notes that a key has answered a question, which counts at once, for others about it as well."""
        if nonce:
            nonces = {nonce, *open_about(self._state.index, device)}
            self._spent += [each.hex() for each in nonces]
            forget(self._state.index, nonces)

    def refuse(self, request: Request, decision: Decision, device: bytes) -> bool:
        """Notes a refusal; returns whether it got a line of its own."""
        if self._state.index.count("refusals", self._now) >= MOST_REFUSALS_A_DAY:
            self._unnamed += 1
            return False
        claim = decision.claim
        name = "" if claim is None else claim.listed.name
        models = ",".join(request.models)[:LONGEST_REASON]
        why = decision.refusal[:LONGEST_REASON]
        self.note(Event.REFUSED, device=device.hex(), name=name, models=models, why=why)
        return True

    def unnamed(self) -> None:
        """Notes that something came that is no request at all."""
        self._unnamed += 1

    def do(self, requests: Requests, answers: Answers) -> list[str]:
        """Does all of it; returns which answers could not be put where they belong.

        Raises:
            StorageError: the disk is full, or refuses; the next run does it.
        """
        if self._unnamed:
            self.note(Event.UNNAMED, count=self._unnamed)
        lines = b"".join(self._draft.lines).decode()
        outbox = Outbox(self._draft.start, lines, self._answers, self._requests, tuple(self._spent))
        outbox.write(self._state.outbox)
        held = _do(outbox, self._state, requests, answers)
        self._state.index.place = self._draft.end
        self._state.index.commit()
        Outbox.clear(self._state.outbox)
        return held


def finish(state: State, requests: Requests, answers: Answers) -> bool:
    """Does what an earlier run has left to be done; returns whether there was something.

    Raises:
        StorageError: it cannot be done now, either.
        MalformedError: what was left was changed.
    """
    outbox = Outbox.read(state.outbox)
    if outbox is None:
        return False
    _do(outbox, state, requests, answers)
    state.index.catch_up(state.journal)
    Outbox.clear(state.outbox)
    return True


def _do(outbox: Outbox, state: State, requests: Requests, answers: Answers) -> list[str]:
    state.journal.append(outbox.start, outbox.lines.encode())
    held = [name for name, text in outbox.answers.items() if not _put(answers, name, text)]
    answers.make_durable()
    for name, file in outbox.requests.items():
        requests.remove(name, file)
    forget(state.index, map(bytes.fromhex, outbox.questions))
    return held


def _put(answers: Answers, name: str, text: str) -> bool:
    if text:
        return answers.put(name, text.encode())
    answers.remove(name)
    return True
