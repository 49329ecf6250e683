"""The first phase of learning: what clean samples look like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelkeep.errors import UsageError
from modelkeep.guard import features
from modelkeep.guard.measurement import EMBEDDING_UNIT
from modelkeep.guard.moments import Moments, Tails, whitening
from modelkeep.guard.plan import Plan, has_joint
from modelkeep.guard.profile import InputProfile, Joint, OutputProfile
from modelkeep.guard.sample import Measurement

Array = NDArray[Any]

_TAIL_STEP = features.UNIT // 128
_SHARES = (0.01, 0.05, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual: the frozen result of the first phase."""

    plan: Plan
    fitted: int
    inputs: tuple[InputProfile, ...]
    outputs: OutputProfile | None


@dataclass(slots=True)
class Fit:
    """First phase: what clean samples look like."""

    plan: Plan
    _moments: dict[str, Moments] = field(init=False)
    _tails: dict[str, Tails] = field(init=False)
    _classes: dict[int, Moments] = field(init=False, default_factory=dict)
    _embeddings: Moments | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        sizes = {layout.name: len(features.names(layout)) for layout in self.plan.inputs}
        joint = {layout.name: has_joint(layout) for layout in self.plan.inputs}
        self._moments = {name: Moments(size, joint[name]) for name, size in sizes.items()}
        self._tails = {name: Tails(size, _TAIL_STEP) for name, size in sizes.items()}

    def add(self, measurement: Measurement) -> None:
        """Adds samples, measured by the same plan."""
        for name, rows in measurement.inputs.items():
            self._moments[name].add(rows)
            self._tails[name].add(rows)
        outputs = measurement.outputs
        if outputs is None or outputs.embedding is None:
            return
        if self._embeddings is None:
            self._embeddings = Moments(outputs.embedding.shape[1], with_products=True)
        self._embeddings.add(outputs.embedding)
        for number in np.unique(outputs.classes).tolist():
            self._class(number, outputs.embedding.shape[1]).add(outputs.embedding[outputs.classes == number])

    def merge(self, other: Self) -> None:
        """Adds what another one, of the same plan, has seen.

        Raises:
            UsageError: the plans differ.
        """
        self.plan.check_same(other.plan)
        for name, moments in self._moments.items():
            moments.merge(other._moments[name])
            self._tails[name].merge(other._tails[name])
        if other._embeddings is None:
            return
        if self._embeddings is None:
            self._embeddings = Moments(other._embeddings.size, with_products=True)
        self._embeddings.merge(other._embeddings)
        for number, moments in other._classes.items():
            self._class(number, moments.size).merge(moments)

    def freeze(self) -> Usual:
        """Returns what is usual.

        Raises:
            UsageError: no samples were added.
        """
        fitted = min(moments.count for moments in self._moments.values())
        if fitted == 0:
            raise UsageError("no samples to learn from", hint="pass clean inputs as the model takes them")
        inputs = tuple(
            InputProfile(
                layout, self._tails[layout.name].quantiles(_SHARES), _joint(self._moments[layout.name])
            )
            for layout in self.plan.inputs
        )
        return Usual(self.plan, fitted, inputs, self._outputs())

    def _class(self, number: int, size: int) -> Moments:
        return self._classes.setdefault(number, Moments(size, with_products=False))

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


def _joint(moments: Moments) -> Joint | None:
    if not moments.with_products:
        return None
    return Joint(moments.mean(features.UNIT), whitening(moments.covariance(features.UNIT)))
