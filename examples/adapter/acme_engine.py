"""Stands for a runtime that is there already: one layer of a neural network, on weights where they lie.

A model is ``ACME``, the number of inputs and of outputs (32-bit, little-endian), and float32 weights.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"ACME"
HEADER = struct.Struct("<4sII")


def read_size(model: memoryview) -> tuple[int, int]:
    """Returns how many numbers a model takes, and how many it gives.

    Raises:
        ValueError: not a model of this engine, or one that is cut off.
    """
    if len(model) < HEADER.size or bytes(model[:4]) != MAGIC:
        raise ValueError("not an Acme model")
    _magic, taken, given = HEADER.unpack_from(model)
    if not taken or not given or len(model) != HEADER.size + 4 * taken * given:
        raise ValueError("an Acme model of another length than it says")
    return taken, given


class Engine:
    """A loaded model. It does not copy the weights."""

    def __init__(self, model: memoryview) -> None:
        self._weights = np.frombuffer(model, np.float32, offset=HEADER.size).reshape(read_size(model))

    def compute(self, x: NDArray[Any]) -> NDArray[Any]:
        """Returns what the layer makes of rows of float32."""
        return np.maximum(np.ascontiguousarray(x) @ self._weights, 0)
