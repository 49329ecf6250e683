"""Scores of inputs and of outputs: how far outside the usual they lie, by each rule. Higher is stranger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.features import UNIT, Features
from modelkeep.guard.measurement import EMBEDDING_UNIT, Numbers, OutputMeasurement
from modelkeep.guard.profile import InputProfile, Joint, OutputProfile

# A rule's part of the false alarms that its stage may give is its weight over the sum of the weights.
_WEIGHTS = {"margin": 2}
_USUAL_WEIGHT = 1

# Two hundredths of a range, of a share or of a factor of two: less is no difference.
_FINEST = 0.02 * UNIT


def shares(stage: Sequence[str]) -> list[float]:
    """Returns which part of a stage's false alarms each of its rules, given by name, may give."""
    weights = [_WEIGHTS.get(rule, _USUAL_WEIGHT) for rule in stage]
    return [weight / sum(weights) for weight in weights]


def envelope(features: Features, profile: InputProfile) -> tuple[Numbers, NDArray[Any]]:
    """Returns for each sample the score of its strangest feature, and which one that is.

    A feature scores 0 at its 95 % quantile and 1 at its 99 % quantile, and goes on in proportion:
    so features with light and with heavy tails compare. The same holds below the median.

    Args:
        features: [samples, features] as `features.measure` returns them.
        profile: what is usual.
    """
    lowest, low, high, highest = profile.bounds.T
    above = (features - high) / np.maximum(highest - high, _FINEST)
    below = (low - features) / np.maximum(low - lowest, _FINEST)
    scores = np.maximum(above, below)
    return scores.max(axis=1), scores.argmax(axis=1)


def joint(features: Features, profile: Joint) -> Numbers:
    """Returns for each sample its Mahalanobis distance: features that do not fit together."""
    offsets = features / UNIT - profile.mean
    return np.asarray(np.linalg.norm(offsets @ profile.whitening.T, axis=1))


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
