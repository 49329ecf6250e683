"""Which of the releases that a repository offers is the one of this device.

Source: spec/update-v1.md, "Phases".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from modelkeep.updates.client.listing import Offered
from modelkeep.updates.client.turn import has_turn


class Selection(Protocol):
    """Says which release is meant for a device.

    Whoever says so, for example a fleet's server in a signed document, chooses among what the repository
    offers: anything else is refused.
    """

    def choose(self, offered: Sequence[Offered], device: bytes) -> Offered | None:
        """Returns the release for a device, or None where it is to keep what it has.

        Args:
            offered: what the repository offers, newest first.
            device: SHA-256 of the device's public key, 32 bytes.

        Raises:
            KeepError: this cannot be said now.
        """


class StaticPhase:
    """The phase of the repository: the newest release whose share the device is in."""

    def choose(self, offered: Sequence[Offered], device: bytes) -> Offered | None:
        """See `Selection.choose`."""
        for each in offered:
            is_in = has_turn(each.document.manifest, device, each.offer.share)
            if is_in and not each.offer.paused:
                return each
        return None
