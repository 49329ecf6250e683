"""The granter: takes requests out of one folder, and puts grants and questions into another.

One pass looks at everything that is there. It can be killed anywhere and run again; two of them exclude
each other; and the folders may be anybody's.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from modelkeep import public_key
from modelkeep.bundle.access import Access, IdentityLike
from modelkeep.clock import BUILT_AT
from modelkeep.device.state_place import device_id
from modelkeep.errors import KeepError, RefusedError, RollbackError, SignatureError, TamperedError, UsageError
from modelkeep.granter import policy_file
from modelkeep.granter.batch import Batch, finish
from modelkeep.granter.claim import Claim, Ground
from modelkeep.granter.deciding import Decider, Decision
from modelkeep.granter.journal import Place
from modelkeep.granter.journal_entry import Event, Fact
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.leasing import LeasedBundle, leased_bundles
from modelkeep.granter.mailbox import GRANTS_ENDING, Answers, Received, Requests
from modelkeep.granter.policy import GranterPolicy
from modelkeep.granter.request import Request
from modelkeep.granter.roster import RosterHead, open_roster
from modelkeep.granter.state import State, open_state
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.trust.envelope import LARGEST_FILE
from modelkeep.trust.signer import BundleSigner
from modelkeep.trust.signers import SignerLike, as_signer

BATCH = 1000
# A roster that is farther ahead would let none follow, and may be by one stolen key.
LONGEST_JUMP = 1000
HEAD_FILE = "journal.json"

# A bundle, the encoded grant, and its last second.
Made = tuple[LeasedBundle, bytes, int]


@dataclass(slots=True)
class Tally:
    """What a pass came to.

    Attributes:
        requests: how many files were looked at.
        issued: how many grants were made.
        refusals: how many requests were refused.
        asked: how many questions were asked.
        waiting: how many requests wait for a person.
        not_due: how many asked for what they have.
        unreadable: how many files were no requests.
        held: answers that could not be put out, because somebody holds their names.
        nobody_in: groups that have to prove something, and in which no device of the roster is.
    """

    requests: int = 0
    issued: int = 0
    refusals: int = 0
    asked: int = 0
    waiting: int = 0
    not_due: int = 0
    unreadable: int = 0
    held: list[str] = field(default_factory=list)
    nobody_in: list[str] = field(default_factory=list)


def run_granter(
    requests: str | os.PathLike[str],
    answers: str | os.PathLike[str],
    policy: GranterPolicy | str | os.PathLike[str],
    *,
    identity: IdentityLike,
    grant_signer: SignerLike,
    verifier: BundleVerifier,
    clock: Callable[[], float] = time.time,
) -> Tally:
    """Answers all requests that are in a folder.

    Args:
        requests: folder that devices put their requests into.
        answers: folder that grants and questions go into, and the signed head of the journal.
        policy: what is gone by, or the path of its file.
        identity: the administrator's key, whose grants of the bundles allow delegation; or its URI.
        grant_signer: signs the grants, and the journal's head.
        verifier: whose bundles are granted.
        clock: gives the time, in seconds since 1970-01-01 UTC.

    Returns:
        What came of it.

    Raises:
        UnavailableError: another granter works in the same state.
        RollbackError: the roster is older than one that was seen.
        RefusedError: the roster's number is far ahead of the last one's, or the clock cannot be right.
        SignatureError, ExpiredError: the roster is not one of the operators, or has ended.
        TamperedError: the journal or the roster was changed.
        UsageError: a bundle cannot be leased.
        KeepError: a bundle cannot be opened, or the granter may not grant it.
    """
    signer = as_signer(grant_signer)
    policy = policy_file.read(policy) if isinstance(policy, str | os.PathLike) else policy
    assert signer is not None
    with (
        open_state(policy.state) as state,
        Requests(requests) as incoming,
        Answers(answers) as outgoing,
        Access(identity, verifier) as access,
        leased_bundles(policy.bundles, access, signer) as bundles,
    ):
        finish(state, incoming, outgoing)
        decider = Decider(policy, state.index, bundles, lambda key: outgoing.has(_grants_name(key)))
        return _Pass(policy, state, decider, signer, clock).run(incoming, outgoing)


class _Pass:
    """One pass over the requests."""

    def __init__(
        self,
        policy: GranterPolicy,
        state: State,
        decider: Decider,
        signer: BundleSigner,
        clock: Callable[[], float],
    ) -> None:
        self._policy, self._state, self._signer, self._clock = policy, state, signer, clock
        self._decider = decider
        self._place = state.index.catch_up(state.journal)
        self._tally = Tally()

    def run(self, requests: Requests, answers: Answers) -> Tally:
        _check_clock(self._now)
        last = self._last_head(answers)
        with self._batch(requests, answers) as batch:
            self._begin(batch)
        received = requests.received()
        while self._take(received, requests, answers):
            pass
        if last is None or (last.number, last.digest) != (self._place.number, self._place.digest):
            head = JournalHead.of(self._place, self._now).signed(self._signer)
            answers.put(HEAD_FILE, head)
        return self._tally

    def _last_head(self, answers: Answers) -> JournalHead | None:
        """Returns what was put out; refuses a journal that is older than that: an old copy was put back."""
        signers = {public_key.fingerprint(self._signer.public_key): self._signer.public_key}
        try:
            head = JournalHead.from_bytes(answers.read(HEAD_FILE, LARGEST_FILE) or b"", signers)
        except KeepError:
            return None  # there is none, or it is anybody's
        here = head.number == self._place.number
        if head.number > self._place.number or (here and head.digest != self._place.digest):
            raise TamperedError(
                f"the journal ends at line {self._place.number}, and {head.number} were put out once",
                hint="bring the newest journal back; an older one, or another, is another granter's",
            )
        return head

    @property
    def _now(self) -> int:
        return int(self._clock())

    @contextmanager
    def _batch(self, requests: Requests, answers: Answers) -> Iterator[Batch]:
        batch = Batch(self._state, self._place, self._now)
        try:
            yield batch
            if not batch.is_empty:
                self._tally.held += batch.do(requests, answers)
                self._place = batch.end
        except BaseException:
            self._state.index.database.rollback()
            raise

    def _begin(self, batch: Batch) -> None:
        """Notes what is gone by where it has changed, before anything is decided by it."""
        roster, is_new = self._read_roster()
        if self._policy.demands:
            self._tally.nobody_in = sorted(self._policy.groups - self._state.index.groups())
        if self._place == Place():
            batch.note(Event.BEGUN, origin=self._policy.origin)
        if self._state.index.newest("policy")[1] != self._policy.digest:
            batch.note(Event.POLICY, digest=self._policy.digest.hex())
        if is_new:
            digest = roster.digest.hex()
            batch.note(Event.ROSTER, roster=roster.number, digest=digest, devices=roster.devices)

    def _read_roster(self) -> tuple[RosterHead, bool]:
        """Takes in the roster, and returns what operators signed and whether it was not seen before."""
        index, operators = self._state.index, self._policy.operators
        with open_roster(self._policy.roster) as stream:
            stream.envelope.check_signed(operators.keys, operators.threshold)
            head, known = stream.head, index.newest("roster")
            head.check_time(self._now)
            _check_number((head.number, head.digest), known)
            if index.newest("imported") != (head.number, head.digest):
                index.take_roster(head, stream.devices())
        return head, head.number > known[0]

    def _take(self, received: Iterator[Received], requests: Requests, answers: Answers) -> bool:
        """Answers up to `BATCH` requests; returns whether there may be more."""
        with self._batch(requests, answers) as batch:
            for count, each in enumerate(received, start=1):
                self._tally.requests += 1
                self._answer(each, batch)
                if count == BATCH:
                    return True
        return False

    def _answer(self, received: Received, batch: Batch) -> None:
        try:
            request = Request.from_bytes(received.data or b"")
        except KeepError:
            self._tally.unreadable += 1
            batch.unnamed()
            batch.answered(received)
            return
        decision = self._decider.decide(request, self._now)
        self._note(request, decision, batch)
        # What waits stays, but for an answer, which counts once.
        if not decision.waits or decision.question is not None or decision.answered:
            batch.answered(received)

    def _note(self, request: Request, decision: Decision, batch: Batch) -> None:
        device = device_id(request.recipient.public)
        if decision.refusal:
            self._refuse(request, decision, device, batch)
            return
        self._note_waits(decision, device, batch)
        if decision.question is not None:
            self._tally.asked += 1
            batch.put(f"{device.hex()}.question.json", decision.question.to_bytes())
        elif decision.bundles:
            self._grant(request, decision, device, batch)
        elif not decision.waits:
            self._tally.not_due += 1

    def _note_waits(self, decision: Decision, device: bytes, batch: Batch) -> None:
        claim = decision.claim
        assert claim is not None
        self._tally.waiting += bool(decision.waits)
        replaces = {"replaces": claim.old.hex()} if claim.ground is Ground.HANDOVER else {}
        for model in decision.waits:
            if self._state.index.wait_of(device, model) is None:
                facts = {"device": device.hex(), "name": claim.listed.name, "model": model}
                batch.note(Event.WAITS, **facts | replaces)

    def _grant(self, request: Request, decision: Decision, device: bytes, batch: Batch) -> None:
        claim = decision.claim
        assert claim is not None
        try:
            made = self._make(claim.named(request.recipient), decision.bundles)
        except UsageError as error:
            # A key of the kind that makes every shared secret the same, for example.
            self._refuse(request, Decision(claim, str(error)), device, batch)
            return
        batch.spent(decision.answered, claim.key)
        self._note_grants(claim, decision, made, batch)
        self._tally.issued += len(made)
        batch.put(_grants_name(device), b"".join(line + b"\n" for _, line, _ in made))
        if decision.answered:
            batch.put(f"{device.hex()}.question.json", b"")

    def _make(self, recipient: HpkeRecipient, bundles: tuple[LeasedBundle, ...]) -> list[Made]:
        now, lease = self._now, self._policy.lease
        return [(each, *each.grant(recipient, now, lease)) for each in bundles]

    def _note_grants(self, claim: Claim, decision: Decision, made: list[Made], batch: Batch) -> None:
        if claim.old:
            self._note_replaced(claim, batch)
        firsts = set(decision.firsts)
        for bundle, line, end in made:
            self._note_granted(claim, bundle, line, end, bundle.model in firsts, decision.hardware, batch)
            firsts.discard(bundle.model)

    def _refuse(self, request: Request, decision: Decision, device: bytes, batch: Batch) -> None:
        self._tally.refusals += 1
        batch.refuse(request, decision, device)

    @staticmethod
    def _note_granted(
        claim: Claim, bundle: LeasedBundle, line: bytes, end: int, first: bool, hardware: str, batch: Batch
    ) -> None:
        facts: dict[str, Fact] = {
            "device": claim.key.hex(),
            "name": claim.listed.name,
            "model": bundle.model,
            "bundle": bundle.bundle.hex(),
            "not_after": end,
            "first": first,
            "grant": hashlib.sha256(line).hexdigest(),
        }
        batch.note(Event.GRANTED, **facts | ({"hardware": hardware} if hardware else {}))

    @staticmethod
    def _note_replaced(claim: Claim, batch: Batch) -> None:
        batch.note(
            Event.REPLACED,
            device=claim.key.hex(),
            name=claim.listed.name,
            old=claim.old.hex(),
            root=claim.listed.device.hex(),
            ground=claim.ground.value,
        )


def _grants_name(key: bytes) -> str:
    return f"{key.hex()}{GRANTS_ENDING}"


def _check_clock(now: int) -> None:
    if now < BUILT_AT:
        raise RefusedError("the clock shows a time that has long passed", hint="set it, and run again")


def _check_number(found: tuple[int, bytes], known: tuple[int, bytes]) -> None:
    if found[0] < known[0]:
        raise RollbackError(f"roster {found[0]} is older than {known[0]}, which was seen before")
    if known[0] and found[0] > known[0] + LONGEST_JUMP:
        raise RefusedError(
            f"roster {found[0]} is more than {LONGEST_JUMP} ahead of {known[0]}",
            hint=f"make the one that follows {known[0]}; whoever signed this one wants none to follow",
        )
    if found[0] == known[0] and found != known:
        raise SignatureError(
            f"there are two rosters with number {found[0]}",
            hint="operators have signed both: find out who, and make the next number",
        )
