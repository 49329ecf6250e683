"""Why an input is an alarm: every feature that is out, with its value and what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.features import MISSING, UNIT, Feature, features_of, joint_places
from modelkeep.guard.meanings import JOINT, describe, natural
from modelkeep.guard.profile import InputProfile
from modelkeep.guard.tails import SHARES

Row = NDArray[Any]

_MOST = 32
_OF_JOINT = 3
_USUAL = SHARES.index(0.01), SHARES.index(0.99)


@dataclass(frozen=True, slots=True)
class Cause:
    """A feature that is out.

    Attributes:
        feature: stable code, for example ``mean-0``.
        words: the same for people, with the name of the channel or column.
        direction: ``above`` or ``below`` what is usual.
        value: in the units of the input.
        usual: what 98 of 100 clean samples lie between, in the same units.
        surprise: minus the logarithm of the chance of one at least as far out.
    """

    feature: str
    words: str
    direction: str
    value: float
    usual: tuple[float, float]
    surprise: float

    def __str__(self) -> str:
        low, high = self.usual
        return f"{self.words} {self.value:.4g}, usually {low:.4g} to {high:.4g}"


def causes(profile: InputProfile, row: Row, surprises: Row, threshold: float) -> tuple[Cause, ...]:
    """Returns the features of a sample that are out, the most surprising first, at most 32.

    Where it is only that they do not go together, those that contribute most follow.

    Args:
        profile: what is usual for the input.
        row: of the sample, what `rules.numbers` returns.
        surprises: of each.
        threshold: above which a feature is out.
    """
    order = [int(place) for place in np.argsort(-surprises, kind="stable")[:_MOST]]
    out = [place for place in order if not surprises[place] <= threshold] or order[:1]
    if out[0] == len(features_of(profile.layout)):
        out += [place for place in _contributors(profile, row) if place not in out]
    return tuple(_cause(profile, row, surprises, place) for place in out)


def feature_at(profile: InputProfile, place: int) -> Feature:
    """Returns what a number of a sample is about."""
    known = features_of(profile.layout)
    return known[place] if place < len(known) else JOINT


def _cause(profile: InputProfile, row: Row, surprises: Row, place: int) -> Cause:
    layout, quantiles, feature = profile.layout, profile.tails.quantiles[place], feature_at(profile, place)
    low, high = (natural(feature, layout, float(quantiles[each])) for each in _USUAL)
    value = float(row[place])
    return Cause(
        str(feature),
        describe(feature, layout),
        "above" if value > profile.tails.medians[place] else "below",
        natural(feature, layout, value),
        (low, high),
        float(surprises[place]),
    )


def _contributors(profile: InputProfile, row: Row) -> list[int]:
    """Returns the features that add most to the joint distance."""
    if profile.joint is None:
        return []
    places = joint_places(profile.layout)
    first, count = places.start or 0, len(features_of(profile.layout))
    medians = profile.tails.medians[:count]
    present = np.where(row[:count] == MISSING, medians, row[:count])[first:]
    offsets, whitening = present / UNIT - profile.joint.mean, profile.joint.whitening
    parts = offsets * (whitening.T @ (whitening @ offsets))
    return [first + int(place) for place in np.argsort(-parts)[:_OF_JOINT]]
