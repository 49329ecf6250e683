"""The features of the guard once more, on JAX, so that an attack can follow their slopes.

The values are those of `modelkeep.guard.features` up to rounding. Where a statistic counts, its
slope is that of a smooth stand-in for the count; the least step between values has none.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from modelkeep.guard.layout import Layout
from modelkeep.guard.summary import BINS, LEAST_STEP, histogram_step

_LEAST = 2.0**-20
_LEAST_STEP = 2.0**-30
NEAR = 1 / 128


def features(samples: Array, layout: Layout, near: float = NEAR) -> Array:
    """Returns [n, features].

    Args:
        samples: as the network takes them.
        layout: how the guard reads them.
        near: share of the range; what is closer than this could be made equal by an attack.
    """
    if layout.is_vector:
        linear = jnp.arcsinh((samples - jnp.array(layout.centres)) / jnp.array(layout.scales))
        logarithms = jnp.sign(samples) * jnp.log2(1 + jnp.abs(samples) / _LEAST)
        return jnp.concatenate([_of_vectors(samples, logarithms), logarithms, linear], axis=1)
    frames = samples[:, None] if samples.ndim == 3 else samples
    scaled = (frames - layout.low) / (layout.high - layout.low)
    # Differences of close values are exact as they came; those of scaled ones are not, and can vanish.
    steps_x, steps_y = (jnp.diff(frames, axis=axis) / (layout.high - layout.low) for axis in (2, 1))
    edges = _laplacians(scaled)
    links = (edges[..., :-1] * edges[..., 1:]).sum(axis=(1, 2))
    columns = [
        *_of_frame(frames, scaled, steps_x, steps_y, layout, near),
        *_of_rows(edges, links),
        *_of_steps(steps_y),
        *_of_channels(scaled, steps_x, steps_y, edges, near),
        *_correlations(edges, links),
    ]
    return jnp.stack(columns, axis=1)


def _laplacians(scaled: Array) -> Array:
    rows = jnp.concatenate([scaled[:, :1], scaled, scaled[:, -1:]], axis=1)
    here = rows[:, 1:-1]
    return 4 * here[:, :, 1:-1] - here[:, :, :-2] - here[:, :, 2:] - rows[:, :-2, 1:-1] - rows[:, 2:, 1:-1]


def _of_frame(
    frames: Array, scaled: Array, steps_x: Array, steps_y: Array, layout: Layout, near: float
) -> list[Array]:
    count = len(frames)
    every = (1, 2, 3)
    if steps_y.shape[1]:
        moved = (steps_x[:, 1:] != 0).mean(axis=(2, 3)) if steps_x.shape[2] else jnp.zeros((count, 1))
        repeats = _counted(steps_y == 0, _closeness(steps_y, near)).min(axis=(2, 3))
        stuck = (repeats * ((moved > 0) & (8 * moved >= 1))).mean(axis=1)
    else:
        stuck = jnp.zeros(count)
    moves = jax.lax.stop_gradient(jnp.abs(steps_x))
    least = jnp.where(moves > 0, moves, jnp.inf).min(axis=every)
    least = jnp.where(least < jnp.inf, least, 0)
    zeros = _counted(frames == 0, _closeness(frames / (layout.high - layout.low), near))
    to_end = jnp.minimum(scaled, 1 - scaled)
    saturated = _counted(to_end <= 0, _closeness(jnp.maximum(to_end, 0), near))
    shares = _histogram(scaled)
    logarithms = jnp.log2(jnp.where(shares > 0, shares, 1))
    return [
        jnp.zeros(count),
        zeros.mean(axis=every),
        saturated.mean(axis=every),
        stuck,
        jnp.log2(least + _LEAST_STEP),
        -(shares * logarithms).sum(axis=1),
        shares.max(axis=1),
    ]


def _histogram(scaled: Array) -> Array:
    """Returns shares [n, bins]: counted, with the slope of values shared between the nearest two bins."""
    sampled = scaled[:, :: histogram_step(scaled.shape[1])].reshape(len(scaled), -1)
    places = jnp.clip(sampled * BINS, 0, BINS - 1)
    rows = jnp.arange(len(scaled))[:, None]
    counted = jnp.zeros((len(scaled), BINS)).at[rows, places.astype(jnp.int32)].add(1.0)
    centres = jnp.clip(places - 0.5, 0, BINS - 1.001)
    below = jax.lax.stop_gradient(jnp.floor(centres)).astype(jnp.int32)
    upper = centres - below
    shared = jnp.zeros((len(scaled), BINS)).at[rows, below].add(1 - upper).at[rows, below + 1].add(upper)
    return _counted(counted, shared) / sampled.shape[1]


def _of_rows(edges: Array, links: Array) -> list[Array]:
    channels = edges.shape[3]
    energies = (edges**2).sum(axis=(1, 2))
    area, pairs = edges.shape[1] * edges.shape[2], max(channels - 1, 1)
    tint = energies[:, :-1].sum(axis=1) + energies[:, 1:].sum(axis=1) - 2 * links.sum(axis=1)
    row_edges = _log_root((edges**2).mean(axis=(2, 3)).max(axis=1))
    tints = (jnp.diff(edges, axis=3) ** 2).sum(axis=(2, 3)) / (edges.shape[2] * pairs)
    row_tint = _log_root(tints.max(axis=1))
    all_edges = _log_root(energies.sum(axis=1) / area / channels)
    all_tint = _log_root(tint / area / pairs)
    return [row_edges, row_tint, row_edges - all_edges, row_tint - all_tint]


def _of_vectors(samples: Array, logarithms: Array) -> Array:
    is_set = samples != 0
    magnitudes = jnp.abs(logarithms).sum(axis=1) / jnp.maximum(is_set.sum(axis=1), 1)
    return jnp.stack([jnp.zeros(len(samples)), 1 - is_set.mean(axis=1), magnitudes], axis=1)


def _of_steps(steps_y: Array) -> list[Array]:
    """Returns by how much the step to one row exceeds those to all rows, and to its neighbours."""
    rows = jnp.abs(steps_y).mean(axis=(2, 3))
    if not rows.shape[1]:
        return [jnp.zeros(len(rows))] * 2
    over_all = jnp.log2(rows.max(axis=1) + _LEAST) - jnp.log2(rows.mean(axis=1) + _LEAST)
    raised = rows + LEAST_STEP
    excesses = raised[:, 1:-1] / jnp.maximum(raised[:, :-2], raised[:, 2:])
    return [over_all, jnp.log2(excesses.max(axis=1, initial=1.0))]


def _of_channels(scaled: Array, steps_x: Array, steps_y: Array, edges: Array, near: float) -> list[Array]:
    place = (1, 2)
    step_x = jnp.log2(jnp.abs(steps_x).mean(axis=place) + _LEAST)
    step_y = jnp.abs(steps_y).sum(axis=place) / max(steps_y.shape[1] * steps_y.shape[2], 1)
    sharpness = _log_root((edges**2).mean(axis=place))
    spread = _log_root(scaled.var(axis=place))
    flat = _counted(steps_x == 0, _closeness(steps_x, near)).mean(axis=place)
    of_all = [
        scaled.min(axis=place),
        scaled.max(axis=place),
        scaled.mean(axis=place),
        spread,
        step_x,
        jnp.log2(step_y + _LEAST),
        sharpness,
        sharpness - spread,
        sharpness - step_x,
        flat,
    ]
    return [each[:, channel] for channel in range(scaled.shape[3]) for each in of_all]


def _correlations(edges: Array, links: Array) -> list[Array]:
    energies = (edges**2).sum(axis=(1, 2))
    products = jnp.sqrt(energies[:, :-1] * energies[:, 1:] + 1e-30)
    return list((links / products).T)


def _closeness(steps: Array, near: float) -> Array:
    return jnp.maximum(1 - jnp.abs(steps) / near, 0)


def _counted(hard: Array, soft: Array) -> Array:
    """Returns the values of one with the slopes of the other."""
    return soft + jax.lax.stop_gradient(hard - soft)


def _log_root(squares: Array) -> Array:
    return jnp.log2(jnp.sqrt(jnp.maximum(squares, 1e-24)) + _LEAST)
