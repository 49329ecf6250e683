"""A small network with one hidden layer, trained and differentiated with NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]


class Network:
    """Flatten, standardise, 128 rectified units, logits."""

    def __init__(self, samples: NDArray[np.float32], labels: Labels, generator: np.random.Generator) -> None:
        rows = samples.reshape(len(samples), -1).astype(np.float64)
        self._mean, self._scale = rows.mean(axis=0), rows.std() + 1e-9
        classes, width, hidden = int(labels.max()) + 1, rows.shape[1], 128
        self._weights = [
            generator.normal(0, np.sqrt(2 / width), (width, hidden)),
            np.zeros(hidden),
            generator.normal(0, np.sqrt(2 / hidden), (hidden, classes)),
            np.zeros(classes),
        ]
        self._train(rows, labels, generator)

    def hidden(self, samples: NDArray[np.floating]) -> Numbers:
        """Returns what the last layer sees, [n, 128]."""
        with np.errstate(invalid="ignore"):  # faults bring values that are no numbers
            rows = samples.reshape(len(samples), -1).astype(np.float64)
        first, bias = self._weights[:2]
        return np.asarray(np.maximum((rows - self._mean) / self._scale @ first + bias, 0))

    def logits(self, samples: NDArray[np.floating]) -> Numbers:
        """Returns one score for each class, [n, classes]."""
        second, bias = self._weights[2:]
        return np.asarray(self.hidden(samples) @ second + bias)

    def gradient(self, samples: NDArray[np.floating], of_logits: Numbers) -> Numbers:
        """Returns the gradient of sum(logits * of_logits) with respect to the samples."""
        active = self.hidden(samples) > 0
        back = (of_logits @ self._weights[2].T) * active
        return np.asarray((back @ self._weights[0].T / self._scale).reshape(samples.shape))

    def _train(self, rows: Numbers, labels: Labels, generator: np.random.Generator) -> None:
        rows = (rows - self._mean) / self._scale
        memory = [(np.zeros_like(weight), np.zeros_like(weight)) for weight in self._weights]
        for step in range(1, 1501):
            chosen = generator.integers(0, len(rows), 128)
            for place, gradient in enumerate(self._gradients(rows[chosen], labels[chosen])):
                first, second = memory[place]
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                speed = 2e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                self._weights[place] -= speed * first / (np.sqrt(second) + 1e-8)

    def _gradients(self, rows: Numbers, labels: Labels) -> list[Numbers]:
        first, bias, second, end = self._weights
        hidden = np.maximum(rows @ first + bias, 0)
        error = softmax(hidden @ second + end)
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        back = (error @ second.T) * (hidden > 0)
        return [
            rows.T @ back + 1e-3 * first,
            back.sum(axis=0),
            hidden.T @ error + 1e-3 * second,
            error.sum(axis=0),
        ]


def softmax(logits: Numbers) -> Numbers:
    """Returns probabilities, [n, classes]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
