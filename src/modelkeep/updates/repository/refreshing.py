"""The cron job of a repository: signs anew what ends soon, so that devices see nobody holding back news."""

from __future__ import annotations

from collections.abc import Sequence

from modelkeep import dsse
from modelkeep.errors import UsageError
from modelkeep.updates.interval import LONGEST, SHORTEST
from modelkeep.updates.repository.edition import Edition
from modelkeep.updates.repository.metadata import is_half_over
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.role_signers import RoleSigners


def refresh(
    repository: Repository, signers: Sequence[dsse.EcdsaSigner], *, interval: int | None = None
) -> list[str]:
    """Signs a new timestamp, and what has passed half of its time if its keys are at hand.

    Args:
        repository: where.
        signers: the key of snapshot and timestamp; those of other roles, where these are to be renewed.
        interval: how many seconds later devices are to ask again, from now on; None leaves it as it is.

    Returns:
        The names of the other roles that were renewed.

    Raises:
        UsageError: no repository is there, the clock is behind, the key is not at hand, or an interval
            that no device keeps to.
        TamperedError: the repository is not what was signed.
        UnavailableError: it cannot be written; what was published goes on counting.
    """
    if interval is not None and not SHORTEST <= interval <= LONGEST:
        raise UsageError(f"an interval of {interval} seconds", hint="devices look once a minute to a week")
    keys = RoleSigners(signers)
    with repository.changing() as edition:
        edition.interval = edition.interval if interval is None else interval
        renewed = [role for role in edition.roles if _is_due(edition, role, keys)]
        for role in renewed:
            edition.renew(role)
        edition.check_signers(keys)
        repository.write(edition, keys)
    return renewed


def _is_due(edition: Edition, role: str, keys: RoleSigners) -> bool:
    is_ours = keys.can_sign(role, edition.delegator(role))
    return is_ours and is_half_over(edition.roles[role].signed, role, edition.now)
