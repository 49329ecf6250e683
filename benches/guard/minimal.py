"""Attacks that look for the smallest change: they stop right behind the border between two classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benches.guard.attacks import Attack, Task, lead
from benches.guard.network import Parameters, Values, forward

_STEPS = 100
_ROUNDS = 5
_PACE = 0.01  # of the range, for each step of descent


def deepfool(task: Task, _random: np.random.Generator) -> Values:
    """The nearest border between classes, as if the network were linear, a few times over.

    On levels, the change is made larger until it survives being rounded.
    """
    extent = task.reach(1)
    found = jnp.asarray(task.start)
    for _ in range(30):
        step, open_ = _to_border(task.network.parameters, found, task.labels, extent)
        if not open_.any():
            break
        found = jnp.clip(found + 1.02 * step, task.data.low, task.data.high)
    return _grown(task, np.asarray(found) - task.start) if task.snap else task.finished(np.asarray(found))


def carlini_wagner(margin: float) -> Attack:
    """Least change in the sense of squares that wins by `margin`; the weight of winning is searched for.

    On levels, what is rounded is what has to win, and gradients pass through the rounding.
    """

    def run(task: Task, _random: np.random.Generator) -> Values:
        count = len(task.start)
        weight, low, high = np.full(count, 1.0), np.zeros(count), np.full(count, np.inf)
        best, shortest = task.start.copy(), np.full(count, np.inf)
        for _ in range(_ROUNDS):
            found, length = _descended(task, weight, margin)
            won = length < np.inf
            better = length < shortest
            best[better], shortest = found[better], np.minimum(length, shortest)
            low, high = np.where(won, low, weight), np.where(won, weight, high)
            weight = np.where(high < np.inf, (low + high) / 2, low * 10)
        return best

    return run


def _descended(task: Task, weight: np.ndarray, margin: float) -> tuple[Values, np.ndarray]:
    """Returns the shortest change found, with its length, which is infinite where none wins."""
    zero = jnp.zeros_like(jnp.asarray(task.start))
    state = (zero, zero, zero, jnp.asarray(task.start), jnp.full(len(task.start), jnp.inf))
    levels = task.data.levels if task.snap and task.data.levels else 0
    limits = (task.start, jnp.asarray(task.data.low), jnp.asarray(task.data.high))
    for step in range(_STEPS):
        state = _step(task.network.parameters, state, limits, task.labels, weight, margin, levels, step + 1.0)
    return np.asarray(state[3]), np.asarray(state[4])


@jax.jit
def _step(
    parameters: Parameters,
    state: tuple[Array, ...],
    limits: tuple[Array, Array, Array],
    labels: Array,
    weight: Array,
    margin: float,
    levels: int,
    step: float,
) -> tuple[Array, ...]:
    """One step of Adam on the change, in units of the range."""
    change, first, second, best, shortest = state
    start, low, high = limits
    extent = high - low

    def cost(change: Array) -> tuple[Array, tuple[Array, ...]]:
        samples = jnp.clip(start + change * extent, low, high)
        rounded = jnp.where(levels > 0, jnp.rint(samples * levels) / jnp.maximum(levels, 1), samples)
        samples = samples + jax.lax.stop_gradient(rounded - samples)
        ahead = lead(forward(parameters, samples)[0], labels)
        squares = _sums(((samples - start) / extent) ** 2)
        # A little beyond the margin, or the descent would hover in front of it.
        total = squares + weight * jnp.maximum(ahead + margin + 0.01, 0)
        return total.sum(), (samples, squares, ahead)

    gradient, (samples, squares, ahead) = jax.grad(cost, has_aux=True)(change)
    better = (ahead < -margin) & (squares < shortest)
    best = jnp.where(_wide(better, best), samples, best)
    first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
    pace = _PACE * (1 - step / (_STEPS + 1))
    change -= pace * first / (1 - 0.9**step) / (jnp.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return change, first, second, best, jnp.where(better, squares, shortest)


@jax.jit
def _to_border(parameters: Parameters, samples: Array, labels: Array, extent: Array) -> tuple[Array, Array]:
    """Returns the step to the nearest border, 0 where it is crossed, and where it is not."""

    def scores(sample: Array) -> Array:
        return forward(parameters, sample[None])[0][0]

    logits = jax.vmap(scores)(samples)
    # Distances are in units of the range, so that features of all scales count alike.
    slopes = jax.vmap(jax.jacrev(scores))(samples) * extent
    rows = jnp.arange(len(labels))
    slopes = slopes - slopes[rows, labels][:, None]
    gaps = logits[rows, labels][:, None] - logits
    squares = (slopes**2).reshape(*gaps.shape, -1).sum(axis=2) + 1e-12
    distance = jnp.where(jax.nn.one_hot(labels, gaps.shape[1], dtype=bool), jnp.inf, gaps / jnp.sqrt(squares))
    nearest = distance.argmin(axis=1)
    factor = (gaps[rows, nearest] + 1e-4) / squares[rows, nearest]
    open_ = gaps[rows, nearest] >= 0
    step = slopes[rows, nearest] * _wide(factor * open_, samples) * extent
    return step, open_


def _grown(task: Task, change: Values) -> Values:
    best = task.finished(task.start + change)
    for factor in 1.03 ** np.arange(1, 80):
        open_ = ~task.wrong(best)
        best[open_] = task.finished(task.start + factor * change)[open_]
    return best


def _sums(values: Array) -> Array:
    return values.reshape(len(values), -1).sum(axis=1)


def _wide(values: Array, like: Array) -> Array:
    return values.reshape(-1, *[1] * (like.ndim - 1))
