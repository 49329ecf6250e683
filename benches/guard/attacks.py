"""Attacks on a network with its gradients, each value changed by a limited amount.

An attack takes a task and returns changed samples within the range. What these do not reach is no
proof that nothing could.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from benches.guard.data import Data
from benches.guard.network import Labels, Network, Parameters, Values, forward

Verdicts = NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """Samples that a network classifies rightly, and that should be changed until it does not.

    Attributes:
        network: the network.
        data: where the samples are from.
        start: the samples.
        labels: their classes.
        snap: whether the result has to lie on the levels of the data.
    """

    network: Network
    data: Data
    start: Values
    labels: Labels
    snap: bool = False

    def reach(self, share: float) -> Values:
        """Returns a share of the range of values."""
        return np.asarray(share * (self.data.high - self.data.low), np.float32)

    def finished(self, samples: Values) -> Values:
        """Returns samples within the range, and on the levels where that is asked for."""
        samples = np.clip(np.asarray(samples), self.data.low, self.data.high)
        return self.data.snapped(samples) if self.snap else samples

    def wrong(self, samples: Values) -> Verdicts:
        """Returns which samples the network takes for another class."""
        return np.asarray(self.network.logits(samples).argmax(axis=1) != self.labels)


Attack = Callable[[Task, np.random.Generator], Values]


def lead(logits: Array, labels: Array) -> Array:
    """Returns by how much the score of the true class exceeds that of its best rival, [n]."""
    own = jax.nn.one_hot(labels, logits.shape[1], dtype=bool)
    return jnp.where(own, logits, 0).sum(axis=1) - jnp.where(own, -jnp.inf, logits).max(axis=1)


def pgd(share: float, steps: int = 60, starts: int = 3) -> Attack:
    """Projected gradient descent on the lead, each value changed by at most `share` of the range."""

    def run(task: Task, random: np.random.Generator) -> Values:
        best, reach = task.start.copy(), task.reach(share)
        lowest = np.full(len(best), np.inf)
        for _ in range(starts):
            noise = reach * random.uniform(-1, 1, task.start.shape) * (steps > 1)
            found = _climb(task, (task.start + noise).astype(np.float32), reach, steps)
            found = task.finished(found)
            reached = _lead(task.network.parameters, found, task.labels)
            better = reached < lowest
            best[better], lowest = found[better], np.where(better, reached, lowest)
        return best

    return run


def fgsm(share: float) -> Attack:
    """One step of gradient descent."""
    return pgd(share, steps=1, starts=1)


def patch(task: Task, random: np.random.Generator) -> Values:
    """Any change at all to one square, or stretch of time, of 5 % of the sample."""
    mask = np.zeros_like(task.start)
    lengths = task.start.shape[1:-1]
    sides = [max(1, round(length * 0.05 ** (1 / len(lengths)))) for length in lengths]
    for each in mask:
        corner = [
            int(random.integers(0, length - side + 1)) for length, side in zip(lengths, sides, strict=True)
        ]
        each[tuple(slice(first, first + side) for first, side in zip(corner, sides, strict=True))] = 1
    anything = random.uniform(task.data.low, task.data.high, task.start.shape)
    found = (task.start + mask * (anything - task.start)).astype(np.float32)
    return task.finished(_climb(task, found, task.reach(1) * mask, 100, 0.05))


def _climb(task: Task, found: Values, reach: Values, steps: int, pace: float = 1.0) -> Values:
    low, high = np.maximum(task.start - reach, task.data.low), np.minimum(task.start + reach, task.data.high)
    current = jnp.clip(jnp.asarray(found), low, high)
    for step in range(steps):
        # Long steps to look around, short ones to settle.
        length = pace * reach * (1.0 if steps == 1 else 0.5 * (1 - step / steps) + 0.02)
        current = moved(task.network.parameters, current, task.labels, length, low, high)
    return np.asarray(current)


@jax.jit
def moved(
    parameters: Parameters, samples: Array, labels: Array, length: Array, low: Array, high: Array
) -> Array:
    """Returns samples after one step down the lead, within limits."""
    gradient = jax.grad(lambda values: lead(forward(parameters, values)[0], labels).sum())(samples)
    return jnp.clip(samples - length * jnp.sign(gradient), low, high)


@jax.jit
def _lead(parameters: Parameters, samples: Array, labels: Array) -> Array:
    return lead(forward(parameters, samples)[0], labels)
