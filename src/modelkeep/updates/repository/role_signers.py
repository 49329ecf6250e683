"""The keys at hand, and which roles they sign for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelkeep import dsse
from modelkeep.errors import UsageError
from modelkeep.updates.repository.metadata import Metadata, Root, Targets
from modelkeep.updates.repository.role_signer import RoleSigner, sign


class RoleSigners:
    """Some signers, each for the roles that list its key."""

    def __init__(self, signers: Iterable[dsse.EcdsaSigner]) -> None:
        """Takes signers.

        Raises:
            UsageError: a curve that is not supported.
        """
        self._signers = {each.fingerprint: each for each in map(RoleSigner, signers)}

    def check_known(self, *delegators: Root | Targets) -> None:
        """Refuses a key that signs for no role: whoever names it means something that does not happen.

        Raises:
            UsageError: there is one.
        """
        known = {name for delegator in delegators for role in _roles(delegator) for name in role.keyids}
        if strangers := sorted(set(self._signers) - known):
            raise UsageError(
                f"key sha256:{strangers[0]} signs for no role of this repository",
                hint="`modelkeep repo status` names the keys of each role",
            )

    def count(self, names: Iterable[str]) -> int:
        """Returns how many of some keys are at hand."""
        return len(set(names) & set(self._signers))

    def check(self, role: str, delegator: Root | Targets, metadata: Metadata[Any] | None = None) -> None:
        """Refuses to begin what could not be signed afterwards.

        Args:
            role: the role.
            delegator: who says which keys sign for it.
            metadata: what is to be signed, where some may have signed it already.

        Raises:
            UsageError: too few of the role's keys are at hand.
        """
        asked = delegator.get_delegated_role(role)
        held = set() if metadata is None else held_by(role, metadata, delegator)
        found = set(asked.keyids) & set(self._signers) | held
        if len(found) < asked.threshold:
            raise UsageError(
                f"role {role!r} is signed by {asked.threshold} of its keys, and {len(found)} of them "
                f"{'is' if len(found) == 1 else 'are'} here",
                hint=f"pass -s for: {', '.join(sorted(set(asked.keyids) - found))}",
            )

    def can_sign(self, role: str, delegator: Root | Targets) -> bool:
        """Returns whether enough of a role's keys are at hand."""
        asked = delegator.get_delegated_role(role)
        return self.count(asked.keyids) >= asked.threshold

    def sign(self, role: str, metadata: Metadata[Any], delegator: Root | Targets) -> int:
        """Signs with all keys of a role that are at hand and have not signed; returns how many those were.

        Raises:
            KeyStoreError: a key cannot be used.
        """
        asked = delegator.get_delegated_role(role)
        missing = sorted(set(asked.keyids) & set(self._signers) - held_by(role, metadata, delegator))
        for name in missing:
            sign(metadata, self._signers[name])
        return len(missing)


def held_by(role: str, metadata: Metadata[Any], delegator: Root | Targets) -> set[str]:
    """Returns the fingerprints of those of a role's keys that have signed a document."""
    result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return set(result.signed)


def _roles(delegator: Root | Targets) -> Iterable[Any]:
    if isinstance(delegator, Root):
        return delegator.roles.values()
    return (delegator.delegations.roles or {}).values() if delegator.delegations else ()
