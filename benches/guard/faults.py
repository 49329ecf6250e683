"""What goes wrong between a sensor and a model, without anybody meaning harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benches.guard.data import Data

Values = NDArray[np.float32]
Fault = Callable[[Values, np.random.Generator], Values]


def faults(data: Data) -> dict[str, Fault]:
    """Returns the faults that data of this form can have, by name."""
    found = dict(_OF_ALL)
    if data.samples.ndim > 2:
        found |= _OF_FRAMES
    if data.levels is not None:
        found |= _OF_LEVELS
    return found


def _frozen(samples: Values) -> Values:
    """The second half repeats the last reading of the first."""
    changed = samples.copy()
    middle = changed.shape[1] // 2
    changed[:, middle:] = changed[:, middle - 1 : middle]
    return changed


def _dead(samples: Values) -> Values:
    changed = samples.copy()
    if samples.ndim == 4 and samples.shape[-1] == 1:
        changed[:, :, samples.shape[2] // 2] = 0
    else:
        changed[..., 0] = 0
    return changed


def _torn(samples: Values) -> Values:
    """The second half is that of another sample."""
    changed = samples.copy()
    middle = samples.shape[1] // 2
    changed[:, middle:] = np.roll(samples, 1, axis=0)[:, middle:]
    return changed


def _noise(samples: Values, random: np.random.Generator) -> Values:
    return random.uniform(samples.min(), samples.max(), samples.shape).astype(np.float32)


_OF_ALL: dict[str, Fault] = {
    "x 255": lambda samples, _: samples * np.float32(255),
    "/ 255": lambda samples, _: samples / np.float32(255),
    "bytes swapped": lambda samples, _: samples.byteswap(),
    "constant": lambda samples, _: np.full_like(samples, samples.mean()),
    "noise": _noise,
    "normalised once too often": lambda samples, _: (samples - samples.mean()) / samples.std(),
    "dead channel (grey: column, vector: feature)": lambda samples, _: _dead(samples),
    "half of another sample": lambda samples, _: _torn(samples),
}
_OF_FRAMES: dict[str, Fault] = {
    "dimmed x 0.1": lambda samples, _: samples * np.float32(0.1),
    "gain x 3": lambda samples, _: np.clip(samples * np.float32(3), samples.min(), samples.max()),
    "half frozen": lambda samples, _: _frozen(samples),
    "upside down, or backwards": lambda samples, _: samples[:, ::-1],
}
_OF_LEVELS: dict[str, Fault] = {
    "dimmed x 0.1, in 8 bits": lambda samples, _: np.rint(samples * np.float32(25.5)) / np.float32(255),
}
