"""The documents of TUF that a ceremony makes: root, targets, and the first ones of new roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelkeep.trust.envelope import Envelope
from modelkeep.updates.repository import founding
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import (
    ROOT_ROLE,
    SNAPSHOT_ROLE,
    SOON,
    TARGETS_ROLE,
    TIMESTAMP_ROLE,
    Document,
    Metadata,
    Root,
    Targets,
    ends_at,
)
from modelkeep.updates.repository.papers import Papers
from modelkeep.updates.repository.plan import Plan
from modelkeep.updates.repository.progress import Waiting
from modelkeep.updates.repository.published import Published
from modelkeep.updates.repository.role_signers import RoleSigners, held_by


class RoleDrafts:
    """What of TUF's documents is new under a plan, with the signatures that there are."""

    def __init__(
        self,
        papers: Papers,
        plan: Plan,
        before: Published | None,
        roots: Envelope,
        documents: Mapping[str, bytes],
        now: int,
    ) -> None:
        self._papers, self._plan, self._before, self._now = papers, plan, before, now
        self._documents = documents
        self._drafts: dict[str, Metadata[Any]] = {}
        self._root: Metadata[Root] = self._newest(
            ROOT_ROLE,
            None if before is None else before.root,
            lambda version: founding.root(plan, roots, version, now),
        )
        self._targets: Metadata[Targets] = self._newest(
            TARGETS_ROLE,
            None if before is None else before.targets,
            lambda version: founding.targets(plan, documents, version, now),
        )
        self._add_first_roles()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is new."""
        return not self._drafts

    def sign(self, signers: RoleSigners) -> None:
        """Adds signatures to all drafts, and keeps them.

        Raises:
            KeyStoreError: a key cannot be used.
            StorageError: they cannot be written.
        """
        for role, draft in self._drafts.items():
            for delegator in self._delegators(role):
                signers.sign(role, draft, delegator)
            self._papers.write_role(role, draft)

    def check_known(self, signers: RoleSigners) -> None:
        """Refuses a key that signs for no role, before or after.

        Raises:
            UsageError: there is one.
        """
        before = [] if self._before is None else [self._before.root.signed]
        signers.check_known(*before, self._root.signed, self._targets.signed)

    def waiting(self, signers: RoleSigners) -> list[Waiting]:
        """Returns who has signed, and who could; at last the keys that have to be at hand to publish."""
        found = [
            _waiting(role, draft, delegator)
            for role, draft in self._drafts.items()
            for delegator in self._delegators(role)
        ]
        edition = self.edition()
        return found + [
            _at_hand(role, signers, edition.delegator(role))
            for role in (*self._outdated(), SNAPSHOT_ROLE, TIMESTAMP_ROLE)
        ]

    def edition(self) -> Edition:
        """Returns what is to be published, once all drafts are complete."""
        edition = Edition(self._now, self._root, {}, {}, {SNAPSHOT_ROLE: 0, TIMESTAMP_ROLE: 0})
        if self._before is not None:
            edition = Edition.after(self._before, self._now)
            edition.root = self._root
        for role, draft in self._drafts.items():
            if role != ROOT_ROLE:
                edition.take(role, draft)
        for role in self._outdated():
            edition.renew(role)
        edition.take_files(self._documents)
        return edition

    @property
    def has_new_root(self) -> bool:
        """Whether the root is new."""
        return ROOT_ROLE in self._drafts

    def _newest(
        self, role: str, published: Metadata[Document] | None, make: Callable[[int], Document]
    ) -> Metadata[Document]:
        version = 1
        if published is not None:
            wanted = make(published.signed.version)
            wanted.expires = published.signed.expires
            if wanted == published.signed and ends_at(published.signed) > self._now + SOON:
                return published
            version = published.signed.version + 1
        draft = self._papers.signed(make(version), role, self._now)
        self._drafts[role] = draft
        return draft

    def _add_first_roles(self) -> None:
        known = {} if self._before is None else self._before.roles
        for role in founding.roles_of(self._plan.families):
            if role not in known:
                wanted = founding.first_role(self._plan, role, self._now)
                self._drafts[role] = self._papers.signed(wanted, role, self._now)

    def _outdated(self) -> list[str]:
        """Returns the roles whose documents other keys have signed than those that count from now on."""
        known = {} if self._before is None else self._before.roles
        return [
            role
            for role in founding.roles_of(self._plan.families)
            if role in known and not held_by(role, known[role], self._targets.signed)
        ]

    def _delegators(self, role: str) -> list[Root | Targets]:
        if role == ROOT_ROLE:
            before = [] if self._before is None else [self._before.root.signed]
            return [*before, self._root.signed]
        return [self._root.signed if role == TARGETS_ROLE else self._targets.signed]


def _waiting(role: str, draft: Metadata[Any], delegator: Root | Targets) -> Waiting:
    asked = delegator.get_delegated_role(role)
    held = held_by(role, draft, delegator)
    what = f"{role} {draft.signed.version}"
    if isinstance(delegator, Root) and role == ROOT_ROLE and delegator.version < draft.signed.version:
        what += ", by the root before it"
    return Waiting(what, len(held), asked.threshold, tuple(sorted(set(asked.keyids) - held)))


def _at_hand(role: str, signers: RoleSigners, delegator: Root | Targets) -> Waiting:
    asked = delegator.get_delegated_role(role)
    return Waiting(f"{role}, at last", signers.count(asked.keyids), asked.threshold, tuple(asked.keyids))
