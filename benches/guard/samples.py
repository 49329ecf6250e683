"""Clean samples without a network: views of a fixed camera, readings of a machine."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Rows = NDArray[np.float32]

SIDE = 96
COLUMNS = (
    "speed", "current", "pressure", "vibration", "bearing", "ambient", "humidity", "flow", "valve", "voltage",
    "barometer",
)  # fmt: skip
# Has no types that a checker could agree with.
_DATASETS: Any = importlib.import_module("sklearn.datasets")


def views() -> list[Frame]:
    """Returns six views of two photographs."""
    images = _DATASETS.load_sample_images().images
    return [
        image[y : y + 120, x : x + 120] for image in images for y, x in ((40, 60), (150, 300), (280, 480))
    ]


def camera(view: Frame, count: int, random: np.random.Generator) -> list[Frame]:
    """Returns frames [1, 96, 96, 3]: it moves by some pixels, light changes, each frame has its noise."""
    frames = []
    for _ in range(count):
        y, x = random.integers(8, 17, 2)
        values = view[y : y + SIDE, x : x + SIDE] * np.exp(random.normal(0, 0.08))
        noisy = values + random.normal(0, 2.5, values.shape)
        frames.append(np.rint(noisy).clip(0, 255).astype(np.uint8)[None])
    return frames


def machine(count: int, random: np.random.Generator) -> Rows:
    """Returns readings [count, 11] of a pump under a load, in some weather."""
    load, ambient = random.beta(2, 2, count), random.normal(8, 9, count)
    columns = [
        1450 + 120 * load + random.normal(0, 6, count),
        12 + 30 * load + random.normal(0, 0.6, count),
        4.2 + 2.5 * load**2 + random.normal(0, 0.06, count),
        np.exp(random.normal(0.1, 0.3, count)) * (0.6 + load),
        ambient + 25 + 20 * load + random.normal(0, 1.2, count),
        ambient,
        np.clip(55 - 1.1 * ambient + random.normal(0, 9, count), 8, 100),
        80 * load + random.normal(0, 1, count) + 5,
        random.integers(0, 4, count),
        400 + random.normal(0, 2.5, count),
        1013 + random.normal(0, 7, count),
    ]
    return np.stack(columns, axis=1).astype(np.float32)
