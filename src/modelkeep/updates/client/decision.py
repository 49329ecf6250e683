"""What a device does about what a repository offers: decided from values alone, before a bundle is asked for.

Source: spec/update-v1.md, "Following a repository".
"""

from __future__ import annotations

from typing import NamedTuple

from modelkeep.bundle.rollback import Remembered, seen_trust
from modelkeep.signer_id import SignerId
from modelkeep.trust.bundle_verifier import BundleVerifier
from modelkeep.updates.client.listing import Listing, Offered
from modelkeep.updates.client.notes import Outcome
from modelkeep.updates.client.turn import WHOLE
from modelkeep.updates.release_document import ReleaseDocument


class Decision(NamedTuple):
    """What is to be done.

    Attributes:
        take: the release to be fetched and tried, or None.
        outcome: what it comes to where nothing is to be taken.
        reason: why, for people.
    """

    take: ReleaseDocument | None
    outcome: Outcome
    reason: str


def decide(
    listing: Listing, chosen: Offered | None, remembered: Remembered, current: bytes | None
) -> Decision:
    """Decides about the release that was chosen for this device.

    Args:
        listing: what the repository says.
        chosen: one of the releases that it offers, or None.
        remembered: what the device remembers.
        current: the bundle that counts here and is whole, or None.

    Raises:
        RollbackError: another release stands at the very place of the one that counts.
    """
    if chosen is None:
        return Decision(None, Outcome.WAITING, _not_yet(listing))
    if chosen.document.bundle == current:
        return Decision(None, Outcome.CURRENT, f"release {chosen.document.order} counts")
    return _about(chosen.document, remembered)


def _about(document: ReleaseDocument, remembered: Remembered) -> Decision:
    floor = remembered.floor(document.model)
    if document.order < floor.order:
        return Decision(
            None, Outcome.CURRENT, f"release {floor.order} counts, which is newer than what is offered"
        )
    floor.check(document.order, document.bundle)
    if _has_failed(remembered, document):
        reason = (
            f"release {document.order} failed its trial here; another one, or a further attempt, is needed"
        )
        return Decision(None, Outcome.FAILED_BEFORE, reason)
    return Decision(document, Outcome.NOT_TRIED, f"release {document.order} is to be tried")


def _has_failed(remembered: Remembered, document: ReleaseDocument) -> bool:
    """Returns whether a release failed here for whom the verifier speaks: what others tried says nothing."""
    return any(
        each.bundle == document.bundle and each.attempt >= document.attempt
        for each in remembered.contents.known(document.model).quarantine
        if _is_ours(remembered.verifier, document.model, each.voucher)
    )


def _is_ours(verifier: BundleVerifier, model: str, voucher: bytes) -> bool:
    seen = seen_trust(verifier)
    return verifier.vouches(model, SignerId(voucher)) if seen is None else voucher == seen.voucher


def _not_yet(listing: Listing) -> str:
    if not listing.offered:
        return "no release is offered"
    offer, document = listing.offered[0]
    if offer.paused:
        return f"release {document.order} is paused"
    return f"release {document.order} is offered to {offer.share} of {WHOLE} devices, and not to this one yet"
