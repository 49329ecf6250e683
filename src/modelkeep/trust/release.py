"""A release, as policies see it."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.manifest import Manifest
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest whose signature was verified, by whom, and when it is looked at.

    Attributes:
        manifest: what was signed.
        signer: who signed; None where a verifier lets in what nobody signed.
        now: present time in seconds since 1970-01-01 UTC, not before the time of sealing.
        signed_at: a moment at which the signature was there, as an authority of time says; None
            where none said so.
    """

    manifest: Manifest
    signer: SignerId | None
    now: int
    signed_at: int | None = None

    @property
    def order(self) -> ReleaseOrder:
        """Its place among the releases of its model."""
        return self.manifest.order
