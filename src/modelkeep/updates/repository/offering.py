"""How what is offered of a model changes: pure functions from one phase to the next."""

from __future__ import annotations

from dataclasses import replace

from modelkeep.errors import UsageError
from modelkeep.updates.phase import EVERYBODY, MOST_OFFERS, Offer, Phase


def with_offer(phase: Phase, offer: Offer) -> Phase:
    """Returns the phase with a release offered, before all others; of what is too much, the oldest goes."""
    others = [each for each in phase.offers if each.release != offer.release]
    return replace(phase, offers=(offer, *others)[:MOST_OFFERS])


def with_attempt(phase: Phase, release: str, attempt: int) -> Phase:
    """Returns the phase that speaks of another attempt at a release."""
    offers = (replace(each, attempt=attempt) if each.release == release else each for each in phase.offers)
    return replace(phase, offers=tuple(offers))


def with_share(phase: Phase, release: str, share: int | None, *, paused: bool) -> Phase:
    """Returns the phase with another share of devices for a release, or the same one if it is None.

    Raises:
        UsageError: it is not offered, or no share.
    """
    present = _offer(phase, release)
    changed = replace(present, share=present.share if share is None else share, paused=paused)
    return replace(phase, offers=tuple(changed if each is present else each for each in phase.offers))


def promoted(phase: Phase, release: str) -> Phase:
    """Returns the phase with a release for everybody.

    Of the older ones only the newest that was for everybody stays: for new devices, should this one have to
    be withdrawn.

    Raises:
        UsageError: it is not offered.
    """
    changed = with_share(phase, release, EVERYBODY, paused=False)
    place = next(place for place, each in enumerate(changed.offers) if each.release == release)
    older = [each for each in changed.offers[place + 1 :] if each.share == EVERYBODY and not each.paused]
    return replace(phase, offers=(*changed.offers[: place + 1], *older[:1]))


def without(phase: Phase, release: str) -> Phase:
    """Returns the phase without a release."""
    return replace(phase, offers=tuple(each for each in phase.offers if each.release != release))


def _offer(phase: Phase, release: str) -> Offer:
    found = phase.offer_of(release)
    if found is None:
        raise UsageError(f"{release} is not offered", hint="publish it first; what was withdrawn stays so")
    return found
