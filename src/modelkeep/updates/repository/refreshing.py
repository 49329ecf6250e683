"""The cron job of a repository: signs anew what ends soon, so that devices see nobody holding back news."""

from __future__ import annotations

from collections.abc import Sequence

from modelkeep import dsse
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import is_half_over
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signers import RoleSigners


def refresh(repository: Repository, signers: Sequence[dsse.EcdsaSigner]) -> list[str]:
    """Signs a new timestamp, and what has passed half of its time if its keys are at hand.

    Args:
        repository: where.
        signers: the key of snapshot and timestamp; those of other roles, where these are to be renewed.

    Returns:
        The names of the other roles that were renewed.

    Raises:
        UsageError: no repository is there, the clock is behind, or the key is not at hand.
        TamperedError: the repository is not what was signed.
        UnavailableError: it cannot be written; what was published goes on counting.
    """
    keys = RoleSigners(signers)
    with repository.changing() as edition:
        renewed = [role for role in edition.roles if _is_due(edition, role, keys)]
        for role in renewed:
            edition.renew(role)
        edition.check_signers(keys)
        repository.write(edition, keys)
    return renewed


def _is_due(edition: Edition, role: str, keys: RoleSigners) -> bool:
    is_ours = keys.can_sign(role, edition.delegator(role))
    return is_ours and is_half_over(edition.roles[role].signed, role, edition.now)
