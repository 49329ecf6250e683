"""What opening and installing ask about trust, and what they are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from modelkeep.clock import Clock
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust.release import Release
from modelkeep.trust.statement import Statement

if TYPE_CHECKING:
    from modelkeep.trust.ticket import VerifiedTicket
    from modelkeep.trust.trust_file import TrustFile


class VerifiedStatement(NamedTuple):
    """A statement and who stands behind it.

    Attributes:
        statement: what was signed.
        signer: who signed it.
        signed_at: a moment at which the signature was there, as an authority of time says; None
            where none said so.
    """

    statement: Statement
    signer: SignerId
    signed_at: int | None = None


class BundleVerifier(Protocol):
    """What opening and installing need to know about trust."""

    @property
    def requires_signature(self) -> bool:
        """Whether a bundle without signature is refused."""

    @property
    def require_installed(self) -> bool:
        """Whether only installations are opened, and bundles are there to be installed."""

    @property
    def trust(self) -> TrustFile | None:
        """The trust file that it believes, whose number devices remember; None where there is none."""

    @property
    def clock(self) -> Clock:
        """The time."""

    @property
    def void(self) -> frozenset[bytes]:
        """Ids of bundles that never count, and what devices remember of them does not either."""

    @property
    def revoked_keys(self) -> frozenset[str]:
        """Fingerprints of keys whose signatures count nowhere, under grants as little as under bundles."""

    def verify_statement(self, document: bytes, second: bytes | None = None) -> VerifiedStatement:
        """Returns what a signature document says, or raises RefusedError or MalformedError.

        `second` is the document with the second signature, for verifiers that demand one.
        """

    def accept(self, release: Release) -> None:
        """Raises RefusedError unless the release is acceptable."""

    def vouches(self, model: str, signer: SignerId) -> bool:
        """Returns whether what `signer` once signed of `model` counts here.

        It looks at keys, names, models and revoked keys; never at a clock, a window or an end: setting
        a clock must not bring older releases back.
        """

    def floor(self, model: str) -> ReleaseOrder | None:
        """Returns the place below which no release of `model` counts, whatever a device remembers."""

    def verify_ticket(self, data: bytes) -> VerifiedTicket:
        """Returns what a ticket says, and whose word it is; never asks a clock.

        Raises:
            SignatureError: nobody signed it who may.
            MalformedError: not a ticket.
        """

    def no_earlier_than(self, moment: int) -> BundleVerifier:
        """Returns the same verifier with a clock that never says less than `moment`.

        Args:
            moment: seconds since 1970-01-01 UTC that have certainly passed, as a device remembers them.
        """
