"""What goes wrong between a sensor and a model, without anybody meaning harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Fault = Callable[[Values, np.random.Generator], Values]


def _half(samples: Values, axis: int) -> Values:
    """The second half along an axis repeats the last reading of the first."""
    changed = np.moveaxis(samples.copy(), axis, 1)
    middle = changed.shape[1] // 2
    changed[:, middle:] = changed[:, middle - 1 : middle]
    return np.moveaxis(changed, 1, axis)


def _dead(samples: Values) -> Values:
    changed = samples.copy()
    changed[..., 0] = 0
    return changed


def _torn(samples: Values) -> Values:
    """The second half is that of another sample."""
    changed = samples.copy()
    middle = samples.shape[1] // 2
    changed[:, middle:] = np.roll(samples, 1, axis=0)[:, middle:]
    return changed


FAULTS: dict[str, Fault] = {
    "x 255": lambda samples, _: samples * np.float32(255),
    "/ 255": lambda samples, _: samples / np.float32(255),
    "bytes swapped": lambda samples, _: samples.byteswap(),
    "constant": lambda samples, _: np.full_like(samples, samples.mean()),
    "noise": lambda samples, random: random.uniform(samples.min(), samples.max(), samples.shape).astype(
        np.float32
    ),
    "normalised once too often": lambda samples, _: (samples - samples.mean()) / samples.std(),
    "dead channel (grey: column)": lambda samples, _: _dead(samples),
    "dimmed x 0.1": lambda samples, _: samples * np.float32(0.1),
    "dimmed x 0.1, in 8 bits": lambda samples, _: np.rint(samples * np.float32(25.5)) / np.float32(255),
    "half frozen": lambda samples, _: _half(samples, 1),
    "half of another sample": lambda samples, _: _torn(samples),
    "gain x 3": lambda samples, _: np.clip(samples * np.float32(3), samples.min(), samples.max()),
    "upside down": lambda samples, _: samples[:, ::-1],
}
