"""Data that comes with well-known packages, and a generator of sensor readings."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Labels = NDArray[np.int64]

PATCH = 32

# Has no types that a checker could agree with.
_DATASETS: Any = importlib.import_module("sklearn.datasets")


@dataclass(frozen=True)
class Data:
    """Samples [n, ...] with labels, cut into parts: train, fit, calibrate and test."""

    name: str
    axes: str
    low: float
    high: float
    grid: float | None
    samples: Values
    labels: Labels
    ends: tuple[int, int, int]

    def part(self, number: int) -> tuple[Values, Labels]:
        """Returns the samples and labels of a part: 0 train, 1 fit, 2 calibrate, 3 test."""
        edges = (0, *self.ends, len(self.samples))
        place = slice(edges[number], edges[number + 1])
        return self.samples[place], self.labels[place]


def digits(generator: np.random.Generator) -> Data:
    """Handwritten digits, 8 x 8 in 17 levels of grey."""
    found = _DATASETS.load_digits()
    order = generator.permutation(len(found.target))
    samples = (found.images[order] / 16).astype(np.float32)
    return Data("digits", "NHW", 0, 1, 1 / 16, samples, found.target[order], (500, 850, 1550))


def patches(generator: np.random.Generator) -> Data:
    """Patches of two photographs, 32 x 32 x 3 in 256 levels; which of ten regions they are from.

    Patches of all parts come from the same photographs and can overlap.
    """
    regions = [
        strip for image in _DATASETS.load_sample_images().images for strip in np.array_split(image, 5, axis=1)
    ]
    count = 10_000
    labels = generator.integers(0, len(regions), count)
    samples = np.stack([_crop(regions[label], generator) for label in labels])
    return Data("patches", "NHWC", 0, 1, 1 / 255, samples, labels, (4000, 7000, 9600))


def _crop(region: NDArray[np.uint8], generator: np.random.Generator) -> Values:
    y, x = (int(generator.integers(0, side - PATCH + 1)) for side in region.shape[:2])
    return (region[y : y + PATCH, x : x + PATCH] / 255).astype(np.float32)


def sensor(generator: np.random.Generator) -> Data:
    """Six channels of 128 readings of a machine in one of four states that overlap."""
    count = 9600
    labels = generator.integers(0, 4, count)
    samples = np.stack([_readings(int(label), generator) for label in labels])
    return Data("sensor", "NTC", -4, 4, None, samples, labels, (3500, 6500, 9200))


def _readings(state: int, generator: np.random.Generator) -> Values:
    time = np.arange(128) / 128
    tone = 3 + 1.5 * state + generator.normal(0, 0.5)
    base = np.sin(2 * np.pi * tone * time + generator.uniform(0, 7))
    mixing = np.array([1, 0.8, -0.6, 0.4, 0.3, -0.2]) * generator.uniform(0.7, 1.3, 6)
    drift = np.cumsum(generator.normal(0, 0.02, (128, 6)), axis=0)
    return (base[:, None] * mixing + drift + generator.normal(0, 0.25, (128, 6))).astype(np.float32)
