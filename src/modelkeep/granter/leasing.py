"""Granting bundles on leases: which bundles there are of a model, and the grants that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelkeep.bundle.access import Access, grants_of, unlock_bundle
from modelkeep.bundle.bundle import Bundle
from modelkeep.bundle.lease import check_leasable
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.granting import grant_issuer
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.issuer import GrantIssuer
from modelkeep.storage import named


@dataclass(frozen=True, slots=True)
class LeasedBundle:
    """A bundle that is granted on leases.

    Attributes:
        model: the id of its model.
        issuer: makes its grants.
    """

    model: str
    issuer: GrantIssuer

    @property
    def bundle(self) -> bytes:
        """Its id, 16 bytes."""
        return self.issuer.bundle

    def grant(self, recipient: HpkeRecipient, now: int, lease: int) -> tuple[bytes, int]:
        """Returns a grant that lasts `lease` seconds, encoded, and its last second.

        Raises:
            UsageError: the key cannot be used, or the granter's own grant has ended.
        """
        grant = self.issuer.issue(recipient, Constraints(not_after=now + lease))
        end = grant.header.constraints.not_after
        assert end is not None
        if end <= now:
            raise UsageError("the granter's own grant has ended", hint="seal again, or grant to it anew")
        return grant.to_bytes(), end


@contextmanager
def leased_bundles(
    paths: Iterable[Path], access: Access, signer: EcdsaSigner
) -> Iterator[tuple[LeasedBundle, ...]]:
    """Yields what is granted of each bundle, whose data keys are in memory for the length of a `with` block.

    Raises:
        UsageError: a bundle is named twice, or cannot be leased.
        KeepError: a bundle cannot be verified, or the granter may not grant it.
    """
    with ExitStack() as stack:
        found = [stack.enter_context(_leased(path, access, signer)) for path in paths]
        if len({each.bundle for each in found}) != len(found):
            raise UsageError("a bundle is named twice")
        yield tuple(found)


@contextmanager
def _leased(path: Path, access: Access, signer: EcdsaSigner) -> Iterator[LeasedBundle]:
    with unlock_bundle(path, access, delegating=True) as unlocked, Bundle(path) as bundle:
        demanded = (grant.header.constraints for grant in grants_of(bundle))
        check_leasable(unlocked.manifest.grant_issuers, demanded)
        with named(path):
            issuer = grant_issuer(unlocked, None, signer, delegates=False)
        yield LeasedBundle(unlocked.manifest.model, issuer)
