"""Projected gradient descent on network and guard together.

The attacker has the network, the profile and the code of the guard. Whether an attempt gets
through is for the guard itself to say, not for the twin that is descended on.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benches.guard.attacks import Task, lead
from benches.guard.judge import Judge
from benches.guard.network import Parameters, Values, forward

_STEPS = 150
# One start for each: the weight of the guard against the network, to begin with, and whether values at
# an end of the range stay there, as the guard counts them.
_STARTS = ((0.3, False), (1.0, True), (3.0, False))


def adaptive(task: Task, share: float, judge: Judge, random: np.random.Generator) -> list[Values]:
    """Returns one attempt for each start, changed by at most `share` of the range."""
    reach = task.reach(share)
    found = []
    for weight, keep_ends in _STARTS:
        low, high = _limits(task, reach, keep_ends=keep_ends)
        begin = task.start + reach * random.uniform(-1, 1, task.start.shape) * random.choice([0.1, 0.5])
        state = _first(np.clip(begin, low, high).astype(np.float32), weight)
        for step in range(_STEPS):
            pace = reach * 0.1 * (1 - step / _STEPS) + reach * 0.005
            state = _step(
                judge,
                task.data.levels or 0,
                task.network.parameters,
                state,
                low,
                high,
                task.labels,
                pace,
                step + 1.0,
            )
        found.append(task.finished(np.asarray(state["best"])))
    return found


def _limits(task: Task, reach: Values, *, keep_ends: bool) -> tuple[Values, Values]:
    """Returns the ends of what each value may become.

    With `keep_ends`, those at an end of the range stay, and no other comes to lie there.
    """
    low, high = np.maximum(task.start - reach, task.data.low), np.minimum(task.start + reach, task.data.high)
    if task.data.levels is None or not keep_ends:
        return low, high
    step = np.float32(1 / task.data.levels)
    at_end = (task.start <= task.data.low) | (task.start >= task.data.high)
    low = np.where(at_end, task.start, np.maximum(low, task.data.low + step))
    high = np.where(at_end, task.start, np.minimum(high, task.data.high - step))
    return low, high


def _first(begin: Values, weight: float) -> dict[str, Array]:
    zero = jnp.zeros(begin.shape)
    return {
        "samples": jnp.asarray(begin),
        "first": zero,
        "second": zero,
        "weight": jnp.full(len(begin), weight),
        "best": jnp.asarray(begin),
        "least": jnp.full(len(begin), jnp.inf),
    }


@partial(jax.jit, static_argnums=(0, 1))
def _step(
    judge: Judge,
    levels: int,
    parameters: Parameters,
    state: dict[str, Array],
    low: Array,
    high: Array,
    labels: Array,
    pace: Array,
    step: float,
) -> dict[str, Array]:
    """One step of Adam; keeps of each sample the attempt that is wrong with the least excess."""

    def cost(samples: Array) -> tuple[Array, Any]:
        rounded = _rounded(samples, levels)
        logits, embeddings = forward(parameters, rounded)
        ahead = lead(logits, labels)
        pressure, excess = judge.pressure(parameters, rounded, logits, embeddings)
        total = jnp.maximum(ahead + 0.2, 0) + state["weight"] * pressure
        return total.sum(), (rounded, ahead, excess)

    gradient, (rounded, ahead, excess) = jax.grad(cost, has_aux=True)(state["samples"])
    badness = jnp.where(ahead < 0, jnp.maximum(excess, 0), 1e6 + ahead)
    better = badness < state["least"]
    first = 0.9 * state["first"] + 0.1 * gradient
    second = 0.99 * state["second"] + 0.01 * gradient**2
    stride = first / (1 - 0.9**step) / (jnp.sqrt(second / (1 - 0.99**step)) + 1e-12)
    # Whoever is wrong already looks to the guard, and whoever is not, to the network.
    factor = jnp.where(ahead < 0, 1.05, 0.95)
    return {
        "samples": jnp.clip(state["samples"] - pace * stride, low, high),
        "first": first,
        "second": second,
        "weight": jnp.clip(state["weight"] * factor, 1e-3, 1e3),
        "best": jnp.where(better.reshape(-1, *[1] * (rounded.ndim - 1)), rounded, state["best"]),
        "least": jnp.minimum(badness, state["least"]),
    }


def _rounded(samples: Array, levels: int) -> Array:
    """Returns samples on the levels, with the slopes of those that are not."""
    if not levels:
        return samples
    return samples + jax.lax.stop_gradient(jnp.rint(samples * levels) / levels - samples)
