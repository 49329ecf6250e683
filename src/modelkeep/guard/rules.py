"""Scores of inputs and of outputs: how far outside the usual they lie, by each rule. Higher is stranger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.features import MISSING, UNIT, Features, joint_places
from modelkeep.guard.measurement import EMBEDDING_UNIT, OutputMeasurement
from modelkeep.guard.numbers import Numbers
from modelkeep.guard.profile import InputProfile, Joint, OutputProfile
from modelkeep.guard.tails import MOST

# A rule's part of the false alarms that its stage may give is its weight over the sum of the weights.
_WEIGHTS = {"margin": 2}
_USUAL_WEIGHT = 1


def shares(stage: Sequence[str]) -> list[float]:
    """Returns which part of a stage's false alarms each of its rules, given by name, may give."""
    weights = [_WEIGHTS.get(rule, _USUAL_WEIGHT) for rule in stage]
    return [weight / sum(weights) for weight in weights]


def numbers(features: Features, profile: InputProfile) -> NDArray[Any]:
    """Returns features, and behind them how far they are from going together, where that is looked at.

    Args:
        features: [samples, features] as `features.measure` returns them.
        profile: what is usual.
    """
    if profile.joint is None:
        return features.astype(np.float64)
    is_missing = features == MISSING
    present: NDArray[Any] = features
    if is_missing.any():
        present = np.where(is_missing, profile.tails.medians[: features.shape[1]], features)
    together = present[:, joint_places(profile.layout)]
    return np.concatenate([features, joint(together, profile.joint)[:, None]], axis=1)


def surprises(found: NDArray[Any], profile: InputProfile) -> Numbers:
    """Returns how surprising each of some `numbers` is; what is missing is not."""
    is_missing = found == MISSING
    if not is_missing.any():
        return profile.tails.surprises(found)
    present = np.where(is_missing, profile.tails.medians, found)
    return np.where(is_missing, 0.0, profile.tails.surprises(present))


def limited(found: NDArray[Any], profile: InputProfile, within: InputProfile, outer: float) -> Numbers:
    """Returns the surprises of numbers at a site, and as much as can be beyond the publisher's bound.

    Args:
        found: `numbers` by the site's profile; what goes together is held against the publisher's.
        profile: what is usual at the site.
        within: what is usual for the publisher.
        outer: surprise by the publisher's profile beyond which nothing is usual anywhere.
    """
    raw = found if within.joint is None else found[:, :-1]
    beyond = surprises(numbers(raw, within), within) > outer
    return np.where(beyond, MOST, surprises(found, profile))


def joint(features: NDArray[Any], profile: Joint) -> Numbers:
    """Returns for each sample its Mahalanobis distance: features that do not fit together.

    In multiples of 1 / `UNIT`, as features are.
    """
    white = (features / UNIT - profile.mean) @ profile.whitening.T
    return np.asarray(np.rint(np.sqrt((white * white).sum(axis=1)) * UNIT))


def strangest(by_input: Sequence[Numbers]) -> Numbers:
    """Returns the score of each sample of a call: the highest surprise of all inputs.

    Inputs that do not have one frame for each sample make a single sample of the call.

    Args:
        by_input: of each input what `surprises` returns.
    """
    scores = [np.maximum.reduce(found, axis=1) for found in by_input]
    if len(scores) == 1:
        return np.asarray(scores[0])
    if len({len(each) for each in scores}) == 1:
        return np.asarray(np.max(scores, axis=0))
    return np.array([max(each.max() for each in scores)])


def score_outputs(rule: str, measured: OutputMeasurement, profile: OutputProfile) -> Numbers:
    """Returns the score of each sample by a rule of the stage ``model``."""
    match rule:
        case "margin":
            return measured.margin
        case "confidence":
            return measured.confidence
        case "energy":
            return measured.energy
    return distances(measured, profile)


def distances(measured: OutputMeasurement, profile: OutputProfile) -> Numbers:
    """Returns how far each embedding is from the mean of its predicted class."""
    if measured.embedding is None:
        raise ValueError("a measurement with embeddings")
    classes = measured.classes.clip(0, len(profile.means) - 1)
    offsets = measured.embedding / EMBEDDING_UNIT - profile.means[classes]
    return np.asarray(np.linalg.norm(offsets @ profile.whitening.T, axis=1))
