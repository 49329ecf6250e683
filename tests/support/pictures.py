"""Pictures that look a little like photographs: smooth shapes, edges, grain, eight bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]


def pictures(count: int, seed: int, size: int = 24) -> list[Picture]:
    """Returns pictures [1, size, size, 3] of float32 from 0 to 1, in steps of 1 / 255."""
    generator = np.random.default_rng(seed)
    return [_picture(generator, size) for _ in range(count)]


def _picture(generator: np.random.Generator, size: int) -> Picture:
    y, x = np.mgrid[0:size, 0:size] / size
    shade = np.zeros((size, size))
    for _ in range(4):
        fx, fy, phase = generator.uniform(-9, 9), generator.uniform(-9, 9), generator.uniform(0, 7)
        shade += generator.uniform(0.1, 0.4) * np.sin(fx * x + fy * y + phase)
    shade += generator.uniform(0.2, 0.6) * (generator.uniform(-1, 1) * x + generator.uniform(-1, 1) * y > 0.1)
    tint = generator.uniform(0.8, 1.2, 3)
    grain = generator.normal(0, 0.02, (size, size, 1)) + generator.normal(0, 0.006, (size, size, 3))
    values = (0.45 + 0.25 * shade)[..., None] * tint + grain
    picture: Picture = (np.rint(values.clip(0, 1) * 255) / 255).astype(np.float32)[None]
    return picture
