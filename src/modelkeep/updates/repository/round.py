"""One round of a ceremony: signs what the keys at hand can sign, and publishes when all is signed.

Documents of trust come first, for the targets name them with their signatures.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelkeep import dsse
from modelkeep.errors import UsageError
from modelkeep.updates.repository.papers import Papers
from modelkeep.updates.repository.plan import Plan
from modelkeep.updates.repository.progress import Progress, Waiting
from modelkeep.updates.repository.published import Published
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_drafts import RoleDrafts
from modelkeep.updates.repository.role_signers import RoleSigners
from modelkeep.updates.repository.trust_drafts import TrustDrafts


class Round:
    """What is to be signed now."""

    def __init__(self, repository: Repository, papers: Papers, plan: Plan, before: Published | None) -> None:
        self._repository, self._papers, self._plan, self._before = repository, papers, plan, before
        self._trust = TrustDrafts(papers, plan, before, repository.now)

    def advance(
        self,
        signers: Sequence[dsse.EcdsaSigner],
        trust_signers: Sequence[dsse.EcdsaSigner],
        agreed: str | None,
    ) -> Progress:
        """Goes on as far as the keys at hand allow; see `Ceremony.advance`."""
        if signers or trust_signers:
            self._check_agreed(agreed)
        self._trust.sign(trust_signers)
        waiting = self._trust.waiting()
        if not all(each.is_complete for each in waiting):
            return self._progress(waiting)
        roles, at_hand = self._roles(), RoleSigners(signers)
        roles.check_known(at_hand)
        roles.sign(at_hand)
        waiting += roles.waiting(at_hand)
        is_published = roles.is_empty
        if not is_published and all(each.is_complete for each in waiting):
            self._repository.write(roles.edition(), at_hand, root=roles.has_new_root)
            is_published = True
        return self._progress(waiting, is_published=is_published)

    def _roles(self) -> RoleDrafts:
        return RoleDrafts(
            self._papers,
            self._plan,
            self._before,
            self._trust.roots,
            self._trust.documents(),
            self._repository.now,
        )

    def _progress(self, waiting: list[Waiting], *, is_published: bool = False) -> Progress:
        return Progress(
            self._plan,
            None if self._before is None else self._before.root.signed.version,
            self._trust.digest,
            (self._trust.roots, self._trust.trust),
            tuple(waiting),
            is_published,
        )

    def _check_agreed(self, agreed: str | None) -> None:
        if agreed is None:
            raise UsageError(
                "nothing was signed",
                hint=f"compare the digest with the others, then pass --yes {self._trust.digest}",
            )
        if agreed != self._trust.digest:
            raise UsageError(
                f"this is something else than what was agreed on: its digest is {self._trust.digest}"
            )
