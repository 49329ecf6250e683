"""What a request comes to: granted, refused, asked back, waiting for a person, or nothing to do.

Everything here is decided on what operators and hardware signed, and on the granter's own journal. What a
request says of itself chooses; it proves nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from modelkeep.errors import MalformedError, RefusedError, UsageError
from modelkeep.granter.claim import Claim, Ground, claim_of
from modelkeep.granter.index import DAY, Index, Lease
from modelkeep.granter.leasing import LeasedBundle
from modelkeep.granter.policy import Demand, GranterPolicy
from modelkeep.granter.question import Question
from modelkeep.granter.questions import AskedQuestion, Questions
from modelkeep.granter.request import Request
from modelkeep.grants.hpke import P256
from modelkeep.posture.judging import Anchors, judge

_REFUSALS = (RefusedError, MalformedError, UsageError)
_OF_A_REQUEST = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request comes to.

    Attributes:
        claim: as which device it counts; None if as none.
        refusal: why nothing is granted, in words; empty if it is not refused.
        question: what the device has to answer first, or None.
        waits: models whose first grants wait for a person.
        bundles: what is granted.
        firsts: models among them that were never granted to it before.
        hardware: what it has proven to be in; may be empty.
        answered: nonce of the question that was answered; empty for none.
    """

    claim: Claim | None = None
    refusal: str = ""
    question: Question | None = None
    waits: tuple[str, ...] = ()
    bundles: tuple[LeasedBundle, ...] = ()
    firsts: frozenset[str] = frozenset()
    hardware: str = ""
    answered: bytes = b""


class Decider:
    """Decides by a policy, an index and the bundles that there are.

    Args:
        policy: what is gone by.
        index: what is looked up.
        bundles: what there is to grant.
        are_out: whether the grants of a key (SHA-256 of the public key) still lie where they were put.
    """

    def __init__(
        self,
        policy: GranterPolicy,
        index: Index,
        bundles: Sequence[LeasedBundle],
        are_out: Callable[[bytes], bool],
    ) -> None:
        self._policy, self._are_out = policy, are_out
        self._index = index
        self._bundles = bundles
        self._questions = Questions(index, policy.origin)

    def decide(self, request: Request, now: int) -> Decision:
        """Returns what a request comes to at `now`, in seconds since 1970-01-01 UTC."""
        try:
            return self._decide(request, now)
        except _OF_A_REQUEST as error:
            # One request that nobody has thought of must not keep all others from being answered, for ever.
            return Decision(refusal=f"cannot be looked at: {type(error).__name__}")

    def _decide(self, request: Request, now: int) -> Decision:
        try:
            claim = claim_of(request, self._index)
            decision = self._wanted(claim, request, now)
        except _REFUSALS as error:
            return Decision(refusal=str(error))
        # Of a key that is on no roster nothing is noted, not even that it waits, before it has proven itself.
        must_prove = bool(decision.bundles) or claim.ground is not Ground.ROSTER
        return self._proven(decision, claim, request, now) if must_prove else decision

    def _wanted(self, claim: Claim, request: Request, now: int) -> Decision:
        """Returns what would be granted if the claim holds: what is due, and all that the key had besides."""
        leases = self._index.leases(claim.earlier)
        had = {model for model, _ in leases}
        found = self._found(claim, request, had)
        models = {each.model for each in found}
        new = models.difference(had)
        if self._is_handed_over_too_often(claim, now):
            waits = self._not_allowed(claim.key, sorted(models))
        else:
            waits = self._waiting(claim.key, sorted(new), now)
        bundles = tuple(each for each in found if each.model not in waits)
        if not claim.old and not self._is_due(leases, bundles, claim.key, now):
            bundles = ()
        return Decision(claim, waits=waits, bundles=bundles, firsts=frozenset(new.difference(waits)))

    def _found(self, claim: Claim, request: Request, had: set[str]) -> list[LeasedBundle]:
        """Returns the bundles of what is asked for or was had, as far as the roster allows."""
        asked = had.union(request.models)
        found = [each for each in self._bundles if each.model in asked and claim.listed.may_have(each.model)]
        if not {each.model for each in found} & set(request.models):
            raise RefusedError(
                f"may not have {', '.join(request.models)}, or no bundle of it is granted here"
            )
        return found

    def _waiting(self, key: bytes, new: Sequence[str], now: int) -> tuple[str, ...]:
        if not new:
            return ()
        left = max(0, self._policy.firsts - self._index.count("firsts", now))
        return self._not_allowed(key, new[left:])

    def _is_handed_over_too_often(self, claim: Claim, now: int) -> bool:
        # Each key that is replaced goes on to the end of its lease: each would be a machine more.
        if claim.ground is not Ground.HANDOVER:
            return False
        return (
            self._index.replacements(claim.listed.device, now - self._policy.lease) >= self._policy.handovers
        )

    def _not_allowed(self, key: bytes, models: Sequence[str]) -> tuple[str, ...]:
        return tuple(model for model in models if not self._is_allowed(key, model))

    def _is_allowed(self, key: bytes, model: str) -> bool:
        known = self._index.wait_of(key, model)
        return known is not None and known.allowed

    def _is_due(
        self, leases: Mapping[tuple[str, bytes], Lease], bundles: Sequence[LeasedBundle], key: bytes, now: int
    ) -> bool:
        last = [leases.get((each.model, each.bundle)) for each in bundles]
        if any(each is None or self._policy.is_due(each.begins, each.ends, now) for each in last):
            return True
        # What was lost on its way is made again; once a day, since somebody may take it away each time.
        return any(each is not None and now >= each.begins + DAY for each in last) and not self._are_out(key)

    def _proven(self, decision: Decision, claim: Claim, request: Request, now: int) -> Decision:
        demand = self._policy.demand(claim.listed.group)
        if not self._must_prove(demand, decision, claim):
            return decision
        answered = self._questions.answered_by(request, claim.key, now)
        try:
            if answered is None:
                return self._asked(decision, claim, request, demand, now)
            hardware = self._judged(claim, request, answered, demand, now)
        except _REFUSALS as error:
            # The question stays open: anybody can send a wrong answer to it.
            return Decision(claim, str(error))
        return replace(decision, hardware=hardware, answered=answered.asked.challenge.nonce)

    @staticmethod
    def _must_prove(demand: Demand | None, decision: Decision, claim: Claim) -> bool:
        if claim.ground is not Ground.ROSTER or claim.listed.hardware:
            return True
        return demand is not None and (demand.renewals or bool(decision.firsts))

    def _asked(
        self, decision: Decision, claim: Claim, request: Request, demand: Demand | None, now: int
    ) -> Decision:
        if request.is_answer:
            raise RefusedError("answers a question that was not asked, or was answered before")
        if demand is not None and request.recipient.type != P256:
            raise RefusedError("has to prove something, which only P-256 keys can")
        old = claim.old if claim.ground is Ground.HANDOVER else b""
        anchors = Anchors() if demand is None else demand.anchors
        shown = request if demand is not None else replace(request, evidence=None)
        question = self._questions.ask(shown, claim.key, claim.account, anchors, now, old)
        waits = decision.waits if claim.ground is Ground.ROSTER else ()
        return Decision(claim, question=question, waits=waits)

    @staticmethod
    def _judged(
        claim: Claim, request: Request, answered: AskedQuestion, demand: Demand | None, now: int
    ) -> str:
        """Returns which hardware the device has proven to be in; empty where nothing of it is asked."""
        _check_handover(claim, request, answered)
        if demand is None:
            if claim.listed.hardware:
                raise UsageError("the policy says nothing of how this device's group proves its hardware")
            return ""
        if request.evidence is None:
            raise RefusedError("shows no evidence, and its group has to")
        verdict = judge(request.evidence.to_bytes(), answered.asked, demand.anchors, demand.policy, now)
        verdict.require()
        if claim.listed.hardware not in ("", verdict.hardware):
            raise RefusedError(f"is in {verdict.hardware or 'no hardware'}, not in {claim.listed.hardware}")
        return verdict.hardware


def _check_handover(claim: Claim, request: Request, answered: AskedQuestion) -> None:
    if claim.ground is not Ground.HANDOVER:
        return
    answer = None if request.handover is None else request.handover.answer
    if answer is None or not answered.expected or answered.old != claim.old:
        raise RefusedError("the key that is to be replaced has not answered")
    if not hmac.compare_digest(answered.expected, answer):
        raise RefusedError("the key that is to be replaced has not opened the question")
