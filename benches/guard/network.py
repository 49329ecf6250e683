"""Small networks on JAX: convolutions for images and series, dense layers for vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from benches.guard.data import Kind

Values = NDArray[np.float32]
Labels = NDArray[np.int64]
Numbers = NDArray[np.float64]
Parameters = dict[str, Any]

EMBEDDING = 64
_BATCH = 64
_AT_ONCE = 500
_DECAY = 1e-4


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        parameters: weights by name, with the mean and the spread of what it was trained on.
    """

    parameters: Parameters

    @staticmethod
    def train(
        samples: Values, labels: Labels, kind: Kind, seed: int, harden: Harden | None = None
    ) -> Network:
        """Trains a network by cross entropy.

        Args:
            samples: [n, ...], one of images, series and vectors.
            labels: [n].
            kind: its form.
            seed: decides the first weights and the order of samples.
            harden: makes each minibatch harder, for adversarial training.
        """
        random = np.random.default_rng(seed)
        parameters = _first(samples, int(labels.max()) + 1, kind, random)
        memory = jax.tree.map(lambda value: (jnp.zeros_like(value), jnp.zeros_like(value)), parameters)
        for step in range(kind.steps):
            chosen = random.integers(0, len(samples), _BATCH)
            batch = jnp.asarray(_moved(samples[chosen], kind.shift, random))
            targets = jnp.asarray(labels[chosen])
            if harden is not None:
                batch = harden(parameters, batch, targets)
            parameters, memory = _step(parameters, memory, batch, targets, step, kind.steps)
        return Network(parameters)

    def logits(self, samples: NDArray[np.floating]) -> Values:
        """Returns one score for each class, [n, classes]."""
        return self.outputs(samples)[0]

    def outputs(self, samples: NDArray[np.floating]) -> tuple[Values, Values]:
        """Returns scores [n, classes] and what the last layer sees, [n, 64]."""
        with np.errstate(all="ignore"):  # faults bring values that are no numbers
            parts = [samples[first : first + _AT_ONCE] for first in range(0, len(samples), _AT_ONCE)]
            found = [_outputs(self.parameters, jnp.asarray(part, jnp.float32)) for part in parts]
        logits, hidden = (np.concatenate([np.asarray(each[place]) for each in found]) for place in (0, 1))
        return logits, hidden


# Takes parameters, samples and labels; returns samples.
Harden = Callable[[Parameters, Array, Array], Array]


def forward(parameters: Parameters, samples: Array) -> tuple[Array, Array]:
    """Returns scores [n, classes] and embeddings [n, 64]; differentiable."""
    rows = (samples - parameters["mean"]) / parameters["spread"]
    for weight, bias in parameters["convolutions"]:
        rows = jax.nn.relu(_convolved(rows, weight) + bias)
        if rows.shape[1] > 4:
            rows = _halved(rows)
    rows = rows.reshape(len(rows), -1)
    for weight, bias in parameters["dense"]:
        rows = jax.nn.relu(rows @ weight + bias)
    weight, bias = parameters["last"]
    return rows @ weight + bias, rows


_outputs = jax.jit(forward)


def _convolved(rows: Array, weight: Array) -> Array:
    layout = ("NHWC", "HWIO", "NHWC") if rows.ndim == 4 else ("NWC", "WIO", "NWC")
    return lax.conv_general_dilated(rows, weight, (1,) * (rows.ndim - 2), "SAME", dimension_numbers=layout)


def _halved(rows: Array) -> Array:
    for axis in range(1, rows.ndim - 1):
        shape = (*rows.shape[:axis], rows.shape[axis] // 2, 2, *rows.shape[axis + 1 :])
        rows = rows.reshape(shape).mean(axis=axis + 1)
    return rows


def _first(samples: Values, classes: int, kind: Kind, random: np.random.Generator) -> Parameters:
    def layer(*shape: int) -> tuple[Array, Array]:
        spread = np.sqrt(2 / np.prod(shape[:-1]))
        return jnp.asarray(random.normal(0, spread, shape), jnp.float32), jnp.zeros(shape[-1])

    is_vector = samples.ndim == 2
    axes = 0 if is_vector else None
    parameters: Parameters = {
        "mean": jnp.asarray(samples.mean(axis=axes)),
        "spread": jnp.asarray(samples.std(axis=axes) + 1e-9),
        "convolutions": [],
    }
    channels = samples.shape[-1]
    for width in kind.widths:
        kernel = (kind.length,) * (samples.ndim - 2)
        parameters["convolutions"].append(layer(*kernel, channels, width))
        channels = width
    flat = _flat(samples.shape[1:-1], len(kind.widths)) * channels
    widths = (flat, EMBEDDING) if kind.widths else (flat, EMBEDDING, EMBEDDING)
    parameters["dense"] = [layer(*pair) for pair in pairwise(widths)]
    parameters["last"] = layer(EMBEDDING, classes)
    return parameters


def _flat(sides: tuple[int, ...], layers: int) -> int:
    for _ in range(layers):
        if sides[0] > 4:
            sides = tuple(side // 2 for side in sides)
    return int(np.prod(sides, initial=1))


def _moved(samples: Values, most: int, random: np.random.Generator) -> Values:
    if most == 0:
        return samples
    padded = np.pad(samples, ((0, 0), (most, most), (most, most), (0, 0)))
    height, width = samples.shape[1:3]
    places = random.integers(0, 2 * most + 1, (len(samples), 2))
    return np.stack(
        [each[y : y + height, x : x + width] for each, (y, x) in zip(padded, places, strict=True)]
    )


def _loss(parameters: Parameters, samples: Array, labels: Array) -> Array:
    chances = jax.nn.log_softmax(forward(parameters, samples)[0])
    weights = [*parameters["convolutions"], *parameters["dense"], parameters["last"]]
    penalty = sum((weight**2).sum() for weight, _ in weights)
    return -chances[jnp.arange(len(labels)), labels].mean() + _DECAY * penalty


@partial(jax.jit, static_argnames="steps")
def _step(
    parameters: Parameters, memory: Any, samples: Array, labels: Array, step: int, steps: int
) -> tuple[Parameters, Any]:
    gradients = jax.grad(_loss)(parameters, samples, labels)
    gradients |= {"mean": jnp.zeros_like(gradients["mean"]), "spread": jnp.zeros_like(gradients["spread"])}
    speed = 2e-3 * 0.5 * (1 + jnp.cos(jnp.pi * step / steps))
    count = step + 1.0

    def moved(pair: Any, gradient: Array) -> Any:
        first = pair[0] + 0.1 * (gradient - pair[0])
        return first, pair[1] + 0.001 * (gradient**2 - pair[1])

    def changed(value: Array, pair: Any) -> Array:
        size = jnp.sqrt(pair[1] / (1 - 0.999**count)) + 1e-8
        return value - speed * pair[0] / (1 - 0.9**count) / size

    memory = jax.tree.map(lambda gradient, pair: moved(pair, gradient), gradients, memory)
    return jax.tree.map(changed, parameters, memory), memory
