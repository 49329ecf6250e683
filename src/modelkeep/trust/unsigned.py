"""Nobody is trusted: for trying things out, never for devices."""

from __future__ import annotations

import copy
from typing import NoReturn, Self

from modelkeep.clock import Clock
from modelkeep.errors import UsageError
from modelkeep.signer_id import SignerId
from modelkeep.trust.policy import UnsafeAnyModel, expecting
from modelkeep.trust.release import Release


class UnsafeUnsigned:
    """Accepts bundles from anyone, signed or not: for trying things out, never for devices."""

    def __init__(self, model: str | None = None) -> None:
        """Takes the model id to expect, or None for any.

        Raises:
            UsageError: not a model id.
        """
        self._policy = expecting(UnsafeAnyModel() if model is None else model)
        self._clock = Clock()

    @property
    def requires_signature(self) -> bool:
        """False: an unsigned bundle is accepted."""
        return False

    @property
    def require_installed(self) -> bool:
        """False: what nobody vouches for cannot be installed."""
        return False

    @property
    def revoked_keys(self) -> frozenset[str]:
        """None: nobody says who is not to be believed."""
        return frozenset()

    @property
    def trust(self) -> None:
        """None: nobody is trusted."""

    @property
    def clock(self) -> Clock:
        """See `BundleVerifier.clock`."""
        return self._clock

    @property
    def void(self) -> frozenset[bytes]:
        """None are."""
        return frozenset()

    def verify_statement(self, document: bytes, second: bytes | None = None) -> NoReturn:
        """Raises UsageError: where nobody is trusted, nobody can have signed."""
        raise UsageError("nobody is trusted, so no signature can be verified", hint="use a Verifier")

    def accept(self, release: Release) -> None:
        """Raises WrongModelError when a model is expected and this is another."""
        self._policy(release)

    def vouches(self, model: str, signer: SignerId) -> bool:
        """Returns True: what a device remembers counts, whoever signed it."""
        return True

    def floor(self, model: str) -> None:
        """Returns None: nobody says so."""

    def verify_ticket(self, data: bytes) -> NoReturn:
        """Raises UsageError: where nobody is trusted, nobody can give a ticket."""
        raise UsageError("nobody is trusted, so no ticket can be verified", hint="use a Verifier")

    def no_earlier_than(self, moment: int) -> Self:
        """See `BundleVerifier.no_earlier_than`."""
        late = copy.copy(self)
        late._clock = self._clock.no_earlier_than(moment)
        return late
