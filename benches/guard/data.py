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
PARTS = ("train", "fit", "calibrate", "validate", "test")

# Have no types that a checker could agree with.
_DATASETS: Any = importlib.import_module("sklearn.datasets")
_SPECIAL: Any = importlib.import_module("scipy.special")


@dataclass(frozen=True)
class Kind:
    """Which network for which data, and how it is trained.

    Attributes:
        widths: channels of the convolutions; each but the first of an image of 8 x 8 halves the sides.
        length: side of a convolution's kernel.
        steps: minibatches seen.
        shift: samples are moved by up to so many elements while training.
    """

    widths: tuple[int, ...]
    length: int
    steps: int
    shift: int


@dataclass(frozen=True)
class Data:
    """Samples [n, ...] with labels, cut into parts that share no sample.

    Attributes:
        name: for people.
        axes: how the guard reads a batch.
        low: least value, for vectors by feature; attacks stay above.
        high: largest value; attacks stay below.
        levels: steps of `high` - `low` that values are multiples of, or None.
        samples: all of them.
        labels: their classes.
        sizes: of the parts, in the order of `PARTS`; the last one takes the rest.
        kind: the network for it.
        squeezers: for the stage that runs the network once more.
        reaches: how far attacks may change a value, as shares of `high` - `low`.
    """

    name: str
    axes: str
    low: Values
    high: Values
    levels: int | None
    samples: Values
    labels: Labels
    sizes: tuple[int, int, int, int]
    kind: Kind
    squeezers: tuple[str, ...]
    reaches: tuple[str, ...] = ("2/255", "4/255", "8/255", "16/255")

    def part(self, name: str) -> tuple[Values, Labels]:
        """Returns the samples and labels of a part."""
        place = PARTS.index(name)
        first = sum(self.sizes[:place])
        last = len(self.samples) if place == len(self.sizes) else first + self.sizes[place]
        return self.samples[first:last], self.labels[first:last]

    def snapped(self, samples: Values) -> Values:
        """Returns samples rounded to the levels of the data; the same ones where it has none."""
        if self.levels is None:
            return samples
        return (np.rint(samples * self.levels) / np.float32(self.levels)).astype(np.float32)


def digits(random: np.random.Generator) -> Data:
    """Handwritten digits, 8 x 8 in 17 levels of grey."""
    found = _DATASETS.load_digits()
    order = random.permutation(len(found.target))
    samples = (found.images[order] / 16).astype(np.float32)[..., None]
    return Data(
        "digits",
        "NHWC",
        np.float32(0),
        np.float32(1),
        16,
        samples,
        found.target[order],
        (600, 320, 500, 120),
        Kind((16, 32, 64), 3, 1500, 1),
        ("median",),
        ("1/16", "2/16", "3/16"),
    )


def patches(random: np.random.Generator, count: int = 11_000) -> Data:
    """Patches of two photographs, 32 x 32 x 3 in 256 levels; which of ten regions they are from.

    Patches of all parts come from the same photographs and can overlap.
    """
    regions = [
        strip for image in _DATASETS.load_sample_images().images for strip in np.array_split(image, 5, axis=1)
    ]
    labels = random.integers(0, len(regions), count)
    samples = np.stack([_crop(regions[label], random) for label in labels])
    kind = Kind((16, 32, 64), 3, 1500, 0)
    ends = np.float32(0), np.float32(1)
    return Data("patches", "NHWC", *ends, 255, samples, labels, (4000, 2500, 3000, 500), kind, ("median",))


def _crop(region: NDArray[np.uint8], random: np.random.Generator) -> Values:
    y, x = (int(random.integers(0, side - PATCH + 1)) for side in region.shape[:2])
    return (region[y : y + PATCH, x : x + PATCH] / 255).astype(np.float32)


def sensor(random: np.random.Generator) -> Data:
    """Six channels of 128 readings of a machine in one of four states that overlap."""
    labels = random.integers(0, 4, 11_000)
    samples = np.stack([_readings(int(label), random) for label in labels])
    kind = Kind((16, 32, 32), 5, 1000, 0)
    ends = np.float32(-4), np.float32(4)
    return Data("sensor", "NTC", *ends, None, samples, labels, (4000, 2500, 3000, 500), kind, ("mean",))


def _readings(state: int, random: np.random.Generator) -> Values:
    time = np.arange(128) / 128
    tone = 3 + 1.5 * state + random.normal(0, 0.5)
    base = np.sin(2 * np.pi * tone * time + random.uniform(0, 7))
    mixing = np.array([1, 0.8, -0.6, 0.4, 0.3, -0.2]) * random.uniform(0.7, 1.3, 6)
    drift = np.cumsum(random.normal(0, 0.02, (128, 6)), axis=0)
    return (base[:, None] * mixing + drift + random.normal(0, 0.25, (128, 6))).astype(np.float32)


def tumours(random: np.random.Generator) -> Data:
    """Thirty measurements of a tumour, benign or not, on thirty scales.

    Of 569 measured ones there are too few for thresholds, so these are drawn anew: by class, each
    measurement is distributed as in scikit-learn's, and they depend on each other as those do by rank.
    """
    found = _DATASETS.load_breast_cancer()
    labels = random.integers(0, 2, 11_000)
    samples = np.empty((len(labels), found.data.shape[1]), np.float32)
    for number in (0, 1):
        samples[labels == number] = _drawn(
            found.data[found.target == number], (labels == number).sum(), random
        )
    kind = Kind((), 0, 1500, 0)
    ends = samples.min(axis=0), samples.max(axis=0)
    return Data("tumours", "NF", *ends, None, samples, labels, (4000, 2500, 3000, 500), kind, ())


def _drawn(measured: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    ranks = measured.argsort(axis=0).argsort(axis=0)
    normal = _SPECIAL.ndtri((ranks + 0.5) / len(measured))
    drawn = random.multivariate_normal(np.zeros(normal.shape[1]), np.corrcoef(normal.T), count)
    places = _SPECIAL.ndtr(drawn) * (len(measured) - 1)
    ordered = np.sort(measured, axis=0)
    points = np.arange(len(measured))
    return np.stack(
        [np.interp(places[:, column], points, ordered[:, column]) for column in range(drawn.shape[1])], axis=1
    )
