"""The first phase of learning: what clean samples look like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from modelkeep.errors import UsageError
from modelkeep.guard import features, rules
from modelkeep.guard.features import MISSING, NOT_FINITE, UNIT, Features, alike, features_of, joint_places
from modelkeep.guard.layout import Layout
from modelkeep.guard.measurement import EMBEDDING_UNIT
from modelkeep.guard.moments import Moments, whitening
from modelkeep.guard.numbers import Array
from modelkeep.guard.plan import Plan, has_joint
from modelkeep.guard.profile import InputProfile, Joint, OutputProfile
from modelkeep.guard.sample import Measurement
from modelkeep.guard.tails import SCALE, Tails, fit_tails

# A third of two hundredths of a range, of a share or of a factor of two: less is no difference.
_LEAST_SCALE = 0.02 / 3 * UNIT


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual: the frozen result of the first phase."""

    plan: Plan
    fitted: int
    inputs: tuple[InputProfile, ...]
    outputs: OutputProfile | None


@dataclass(slots=True)
class Fit:
    """First phase: what clean samples look like. Holds their features, not the samples."""

    plan: Plan
    _rows: dict[str, list[Features]] = field(init=False)
    _classes: dict[int, Moments] = field(init=False, default_factory=dict)
    _embeddings: Moments | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._rows = {layout.name: [] for layout in self.plan.inputs}

    def add(self, measurement: Measurement) -> None:
        """Adds samples, measured by the same plan."""
        for name, rows in measurement.inputs.items():
            self._rows[name].append(rows)
        outputs = measurement.outputs
        if outputs is None or outputs.embedding is None:
            return
        if self._embeddings is None:
            self._embeddings = Moments(outputs.embedding.shape[1], with_products=True)
        self._embeddings.add(outputs.embedding)
        for number in np.unique(outputs.classes).tolist():
            moments = Moments(outputs.embedding.shape[1], with_products=False)
            self._classes.setdefault(number, moments).add(outputs.embedding[outputs.classes == number])

    def freeze(self) -> Usual:
        """Returns what is usual.

        Raises:
            UsageError: no samples were added.
        """
        fitted = min(sum(map(len, rows)) for rows in self._rows.values())
        if fitted == 0:
            raise UsageError("no samples to learn from", hint="pass clean inputs as the model takes them")
        inputs = tuple(
            _usual_input(layout, np.concatenate(self._rows[layout.name])) for layout in self.plan.inputs
        )
        return Usual(self.plan, fitted, inputs, self._outputs())

    def _outputs(self) -> OutputProfile | None:
        if self.plan.outputs is None:
            return None
        scores, kind, embedding, scale = self.plan.outputs
        means, within = np.empty((0, 0)), np.empty((0, 0))
        if self._embeddings is not None:
            means, covariance = self._by_class(self._embeddings)
            within = whitening(covariance)
        return OutputProfile(scores, kind, embedding, scale, means, within)

    def _by_class(self, everything: Moments) -> tuple[Array, Array]:
        """Returns the mean embedding of every class, and the covariance around them."""
        overall = everything.mean(EMBEDDING_UNIT)
        # A class that no sample was taken for is expected where all samples are.
        means = np.tile(overall, (max(self._classes) + 1, 1))
        covariance = everything.covariance(EMBEDDING_UNIT)
        for number, moments in sorted(self._classes.items()):
            means[number] = moments.mean(EMBEDDING_UNIT)
            offset = means[number] - overall
            covariance -= moments.count / everything.count * np.outer(offset, offset)
        return means, covariance


def _usual_input(layout: Layout, rows: Features) -> InputProfile:
    # A number that is not finite is one too many, where clean samples have none.
    exact = np.array([feature.kind == NOT_FINITE for feature in features_of(layout)])
    tails = fit_tails(rows, MISSING, np.where(exact, 0.0, _LEAST_SCALE), alike(layout))
    if not has_joint(layout):
        return InputProfile(layout, tails, None)
    present = np.where(rows == MISSING, tails.medians.astype(np.int64), rows)[:, joint_places(layout)]
    moments = Moments(present.shape[1], with_products=True)
    moments.add(present)
    within = whitening(moments.covariance(features.UNIT), _least_deviations(tails, layout))
    joint = Joint(moments.mean(features.UNIT), within)
    distances = rules.joint(present, joint)[:, None]
    return InputProfile(layout, _both(tails, fit_tails(distances, MISSING, np.array([_LEAST_SCALE]))), joint)


def _least_deviations(tails: Tails, layout: Layout) -> Array:
    """Returns what the deviation of each feature that is looked at together counts as at least.

    What a tail calls no difference must not be hundreds of deviations, nor a column that moves for once.
    """
    least = np.full(len(tails.quantiles), _LEAST_SCALE)
    for columns in alike(layout):
        steps = tails.tails[columns, :, SCALE].max(axis=1)
        least[columns] = np.where(tails.seldom_move[columns], steps, _LEAST_SCALE)
    return np.asarray(least[joint_places(layout)] / UNIT)


def _both(first: Tails, second: Tails) -> Tails:
    return Tails(
        np.concatenate([first.quantiles, second.quantiles]), np.concatenate([first.tails, second.tails])
    )
