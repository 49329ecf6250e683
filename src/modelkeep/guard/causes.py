"""Why an input is an alarm: every feature that is out, with its value and what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.features import UNIT, Feature, Features, features_of, joint_places
from modelkeep.guard.meanings import JOINT, describe, natural
from modelkeep.guard.profile import InputProfile
from modelkeep.guard.tails import SHARES

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


def causes(
    profile: InputProfile, row: Features, surprises: NDArray[Any], threshold: float
) -> tuple[Cause, ...]:
    """Returns the features of a sample that are out, the most surprising first, at most 32.

    Where it is only that they do not go together, those that contribute most follow.

    Args:
        profile: what is usual for the input.
        row: features of the sample.
        surprises: of each feature, and behind them of the joint rule, where there is one.
        threshold: above which a feature is out.
    """
    order = np.argsort(-surprises, kind="stable")
    out = [int(place) for place in order[:_MOST] if not surprises[place] <= threshold] or [int(order[0])]
    if out[0] == len(row) and profile.joint is not None:
        out += [place for place in _contributors(profile, row) if place not in out]
    return tuple(_cause(profile, row, surprises, place) for place in out)


def _cause(profile: InputProfile, row: Features, surprises: NDArray[Any], place: int) -> Cause:
    layout, quantiles = profile.layout, profile.tails.quantiles[place]
    known = features_of(layout)
    if place == len(known):
        words = describe(JOINT, layout)
        low, high = (float(quantiles[each]) / UNIT for each in _USUAL)
        distance = float(_joint_distance(profile, row))
        return Cause(
            str(JOINT), words, _direction(distance, low), distance, (low, high), float(surprises[place])
        )
    feature: Feature = known[place]
    low, high = (natural(feature, layout, float(quantiles[each])) for each in _USUAL)
    value = natural(feature, layout, float(row[place]))
    return Cause(
        str(feature),
        describe(feature, layout),
        _direction(float(row[place]), profile.tails.medians[place]),
        value,
        (low, high),
        float(surprises[place]),
    )


def _direction(value: float, middle: float) -> str:
    return "above" if value > middle else "below"


def _offsets(profile: InputProfile, row: Features) -> NDArray[Any]:
    if profile.joint is None:
        raise ValueError("a profile with a joint rule")
    places = joint_places(profile.layout)
    return np.asarray(row[places] / UNIT - profile.joint.mean)


def _joint_distance(profile: InputProfile, row: Features) -> float:
    if profile.joint is None:
        raise ValueError("a profile with a joint rule")
    return float(np.linalg.norm(profile.joint.whitening @ _offsets(profile, row)))


def _contributors(profile: InputProfile, row: Features) -> list[int]:
    """Returns the features that add most to the joint distance."""
    if profile.joint is None:
        return []
    offsets, whitening = _offsets(profile, row), profile.joint.whitening
    parts = offsets * (whitening.T @ (whitening @ offsets))
    first = joint_places(profile.layout).start or 0
    return [first + int(place) for place in np.argsort(-parts)[:_OF_JOINT]]
