"""Attacks on a network: with its gradients, and by trying.

Each takes samples [n, ...] with labels and returns changed samples within the range. The steps
are few: what these attacks do not reach is no proof that nothing could.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benches.guard.network import Labels, Network, Numbers, softmax

Values = NDArray[np.float32]
Ends = tuple[float, float]
Attack = Callable[[Network, Values, Labels, Ends, np.random.Generator], Values]


def pgd(size: float, steps: int = 40) -> Attack:
    """Projected gradient ascent on the loss, each value changed by at most `size` of the range."""

    def run(
        network: Network, start: Values, labels: Labels, ends: Ends, random: np.random.Generator
    ) -> Values:
        reach = size * (ends[1] - ends[0])
        found = start + random.uniform(-reach, reach, start.shape) * (steps > 1)
        for _ in range(steps):
            error = softmax(network.logits(found))
            error[np.arange(len(labels)), labels] -= 1
            step = reach if steps == 1 else 2.5 * reach / steps
            found = found + step * np.sign(network.gradient(found, error))
            found = np.clip(np.clip(found, start - reach, start + reach), *ends)
        return found.astype(np.float32)

    return run


def fgsm(size: float) -> Attack:
    """One step of gradient ascent."""
    return pgd(size, steps=1)


def deepfool(
    network: Network, start: Values, labels: Labels, ends: Ends, _random: np.random.Generator
) -> Values:
    """The nearest border between classes, as if the network were linear, a few times over."""
    found = start.astype(np.float64)
    for _ in range(30):
        logits = network.logits(found)
        open_ = logits.argmax(axis=1) == labels
        if not open_.any():
            break
        found[open_] += 1.02 * _to_border(network, found[open_], labels[open_], logits[open_])
        found = np.clip(found, *ends)
    return found.astype(np.float32)


def _to_border(network: Network, samples: Numbers, labels: Labels, logits: Numbers) -> Numbers:
    shortest, best = np.full(len(samples), np.inf), np.zeros_like(samples)
    rows = np.arange(len(samples))
    for other in range(logits.shape[1]):
        direction = np.zeros_like(logits)
        direction[rows, other] += 1
        direction[rows, labels] -= 1
        gradient = network.gradient(samples, direction)
        norm = np.linalg.norm(gradient.reshape(len(samples), -1), axis=1) + 1e-12
        gap = logits[rows, labels] - logits[rows, other] + 1e-4
        nearer = (gap / norm < shortest) & (labels != other)
        shortest = np.where(nearer, gap / norm, shortest)
        factor = (gap / norm**2)[nearer].reshape(-1, *[1] * (samples.ndim - 1))
        best[nearer] = factor * gradient[nearer]
    return best


def carlini_wagner(margin: float) -> Attack:
    """Smallest change in the sense of least squares that wins by `margin`, by descent."""

    def run(
        network: Network, start: Values, labels: Labels, ends: Ends, _random: np.random.Generator
    ) -> Values:
        changed, best = start.astype(np.float64), start.copy()
        shortest = np.full(len(start), np.inf)
        extent, rows = ends[1] - ends[0], np.arange(len(start))
        for step in range(300):
            logits = network.logits(changed)
            rival = np.where(np.eye(logits.shape[1])[labels] > 0, -np.inf, logits).argmax(axis=1)
            lead = logits[rows, labels] - logits[rows, rival]
            length = np.linalg.norm((changed - start).reshape(len(start), -1), axis=1)
            better = (lead < -margin) & (length < shortest)
            shortest = np.where(better, length, shortest)
            best[better] = changed[better]
            direction = np.zeros_like(logits)
            direction[rows, rival] += 1.0 * (lead > -margin - 0.05)
            direction[rows, labels] -= 1.0 * (lead > -margin - 0.05)
            push = network.gradient(changed, direction)
            norm = np.linalg.norm(push.reshape(len(start), -1), axis=1).reshape(-1, *[1] * (start.ndim - 1))
            rate = 0.004 * extent * np.sqrt(start[0].size) * (1 - step / 400)
            changed += rate * push / (norm + 1e-12) - 0.01 * (changed - start)
            changed = np.clip(changed, *ends)
        return best

    return run


def patch(network: Network, start: Values, labels: Labels, ends: Ends, random: np.random.Generator) -> Values:
    """Any change at all to one square, or stretch of time, of 5 % of the sample."""
    mask = np.zeros_like(start)
    lengths = start.shape[1:3] if start.shape[1] == start.shape[2] else start.shape[1:2]
    side = [max(1, round(length * 0.05 ** (1 / len(lengths)))) for length in lengths]
    for each in mask:
        corner = [
            int(random.integers(0, length - part + 1)) for length, part in zip(lengths, side, strict=True)
        ]
        each[tuple(slice(first, first + part) for first, part in zip(corner, side, strict=True))] = 1
    found = start + mask * (random.uniform(*ends, start.shape) - start)
    for _ in range(60):
        error = softmax(network.logits(found))
        error[np.arange(len(labels)), labels] -= 1
        step = 0.1 * (ends[1] - ends[0]) * np.sign(network.gradient(found, error))
        found = np.clip(found + mask * step, *ends)
    return found.astype(np.float32)


def square(size: float, queries: int = 300) -> Attack:
    """Squares of plus or minus `size` at random places, kept where they help; needs no gradients."""

    def run(
        network: Network, start: Values, labels: Labels, ends: Ends, random: np.random.Generator
    ) -> Values:
        def lead(samples: NDArray[np.floating]) -> Numbers:
            logits = network.logits(samples)
            own = np.eye(logits.shape[1])[labels] > 0
            return np.asarray(logits[own] - np.where(own, -np.inf, logits).max(axis=1))

        return climb(start, lead, size * (ends[1] - ends[0]), queries, ends, random)

    return run


def climb(
    start: Values,
    badness: Callable[[Values], Numbers],
    reach: float,
    queries: int,
    ends: Ends,
    random: np.random.Generator,
) -> Values:
    """Returns samples within `reach` of `start` with a lower `badness`, found by trying squares."""
    shape = start.shape[1:]
    signs = random.choice([-reach, reach], (len(start), 1, *shape[1:]))
    found: Values = np.clip(start + signs, *ends).astype(np.float32)
    value = badness(found)
    for query in range(queries):
        side = max(1, round(min(shape[:2]) * 0.5 * (1 - query / queries) ** 2))
        tried = found.copy()
        for each, origin in zip(tried, start, strict=True):
            y, x = (int(random.integers(0, length - side + 1)) for length in shape[:2])
            place = (slice(y, y + side), slice(x, x + side))
            each[place] = np.clip(origin[place] + random.choice([-reach, reach], shape[2:]), *ends)
        new = badness(tried)
        better = new < value
        found[better], value = tried[better], np.where(better, new, value)
    return found
