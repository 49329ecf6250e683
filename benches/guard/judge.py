"""The rules of a profile once more, on JAX: by how much samples are above its thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benches.guard import twin
from benches.guard.attacks import lead
from benches.guard.network import Parameters, Values, forward
from benches.guard.watch import Readings
from modelkeep.guard.features import UNIT, joint_places
from modelkeep.guard.profile import GuardProfile, InputProfile, OutputProfile
from modelkeep.guard.tails import MOST, SHARES

_SLACK = 0.02  # how far below a threshold is far enough, as a share of it
# Enough to tell that nothing is missing; single precision is not what the guard computes in.
_AGREEMENT = 0.02


@dataclass(frozen=True, eq=False)
class Judge:
    """A profile that gradients pass through.

    Attributes:
        profile: the profile.
        stages: those that are to be passed.
        near: see `twin.features`.
    """

    profile: GuardProfile
    stages: tuple[str, ...]
    near: float = twin.NEAR

    def scores(
        self, parameters: Parameters, samples: Array, logits: Array, embeddings: Array
    ) -> dict[str, Array]:
        """Returns scores [n] by rule; surprise by feature, [n, features]."""
        usual, outputs = self.profile.inputs[0], self.profile.outputs
        if outputs is None or usual.joint is None:
            raise ValueError("a profile with outputs and a joint rule")
        rows = twin.features(samples, usual.layout, self.near)
        together = rows[:, joint_places(usual.layout)] - usual.joint.mean
        apart = _length(usual.joint.whitening, together)
        found = {"surprise": _surprises(jnp.concatenate([rows, apart[:, None]], axis=1), usual)}
        found |= _of_outputs(logits, embeddings, outputs)
        for stage in self.profile.stages:
            if stage.name == "squeeze" and stage.name in self.stages:
                found |= _squeezed(parameters, samples, logits, [rule for rule, _ in stage.thresholds])
        return found

    def pressure(
        self, parameters: Parameters, samples: Array, logits: Array, embeddings: Array
    ) -> tuple[Array, Array]:
        """Returns how much there is to push down, [n], and the largest excess over a threshold, [n]."""
        found = self.scores(parameters, samples, logits, embeddings)
        pressure, excess = jnp.zeros(len(samples)), jnp.full(len(samples), -jnp.inf)
        for stage in self.profile.stages:
            if stage.name not in self.stages:
                continue
            for (rule, _), threshold in stage.thresholds.items():
                above = found[rule] - threshold
                above = above[:, None] if above.ndim == 1 else above
                slack = _SLACK * max(abs(threshold), 0.1)
                pressure += jnp.maximum(above + slack, 0).sum(axis=1) / max(abs(threshold), 0.1)
                excess = jnp.maximum(excess, above.max(axis=1))
        return pressure, excess

    def check(self, parameters: Parameters, samples: Values, readings: Readings) -> None:
        """Raises ValueError unless the scores are those that the guard itself has read."""
        logits, embeddings = forward(parameters, jnp.asarray(samples))
        found = self.scores(parameters, jnp.asarray(samples), logits, embeddings)
        for column, (stage, rule, _) in enumerate(readings.rules):
            if stage not in self.stages:
                continue
            own = np.asarray(found[rule])
            own = own if own.ndim == 1 else own.max(axis=1)
            apart = np.abs(own - readings.scores[:, column]) / (1 + np.abs(readings.scores[:, column]))
            if not (apart <= _AGREEMENT).all():
                raise ValueError(f"the twin of rule {rule} is {apart.max():.3f} away from the guard")


def _surprises(rows: Array, usual: InputProfile) -> Array:
    low, median, high = (usual.tails.quantiles[:, SHARES.index(share)] / UNIT for share in (0.05, 0.5, 0.95))
    is_above = rows > median
    reach = jnp.where(is_above, high - median, median - low)
    last, first, exponent, scale = (
        jnp.where(is_above, above, below)
        for below, above in zip(usual.tails.tails[:, 0].T, usual.tails.tails[:, 1].T, strict=True)
    )
    distance = jnp.abs(rows - median)
    inside = np.log(2) + (last - np.log(2)) * distance / jnp.maximum(reach, 1e-9)
    height = jnp.maximum(distance - reach, 0) * UNIT / jnp.maximum(scale, 1e-3)
    heavy = jnp.log1p(exponent * height) / jnp.maximum(exponent, 1e-6)
    outside = jnp.minimum(first + jnp.where(exponent > 1e-6, heavy, height), MOST)
    # Features are whole multiples of a step; closer than half of it is the same.
    is_outside, is_inside = distance > reach + 0.5 / UNIT, distance > 0.5 / UNIT
    return jnp.where(is_outside, outside, jnp.where(is_inside & (reach > 0), inside, 0.0))


def _of_outputs(logits: Array, embeddings: Array, outputs: OutputProfile) -> dict[str, Array]:
    highest = jax.lax.top_k(logits, 2)[0]
    offsets = embeddings / outputs.scale - jnp.asarray(outputs.means)[logits.argmax(axis=1)]
    return {"margin": highest[:, 1] - highest[:, 0], "distance": _length(outputs.whitening, offsets)}


def _length(whitening: np.ndarray, offsets: Array) -> Array:
    return jnp.sqrt(((offsets @ jnp.asarray(whitening.T)) ** 2).sum(axis=1) + 1e-12)


def _squeezed(
    parameters: Parameters, samples: Array, logits: Array, squeezers: Iterable[str]
) -> dict[str, Array]:
    classes = logits.argmax(axis=1)
    return {
        name: lead(logits, classes) - lead(forward(parameters, _SQUEEZE[name](samples))[0], classes)
        for name in squeezers
    }


def _mean(samples: Array) -> Array:
    for axis in _neighbouring(samples):
        samples = sum(_around(samples, axis)) / 3
    return samples


def _median(samples: Array) -> Array:
    around = [samples]
    for axis in _neighbouring(samples):
        around = [moved for each in around for moved in _around(each, axis)]
    return jnp.sort(jnp.stack(around), axis=0)[len(around) // 2]


def _neighbouring(samples: Array) -> range:
    return range(1, samples.ndim - 1)


def _around(samples: Array, axis: int) -> list[Array]:
    last = samples.shape[axis] - 1
    places = [np.clip(np.arange(last + 1) + move, 0, last) for move in (-1, 0, 1)]
    return [jnp.take(samples, place, axis=axis) for place in places]


_SQUEEZE = {"mean": _mean, "median": _median}
