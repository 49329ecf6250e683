"""What the guard looks at in one call of the model: features of inputs, scores of outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard import features
from modelkeep.guard.features import Features
from modelkeep.guard.layout import Layout
from modelkeep.guard.numbers import Array, Numbers

EMBEDDING_SIZE = 64
EMBEDDING_UNIT = 2**20
_PROJECTION = b"modelkeep/guard/v1/projection"


@dataclass(frozen=True, slots=True)
class OutputMeasurement:
    """What the model made of the samples of one call.

    Attributes:
        margin: lead of the second best score over the best one, at most 0; near 0, it is a tie.
        confidence: -log of the highest probability; the higher, the less sure.
        energy: -log of the sum of exponentials of the scores.
        classes: predicted class.
        embedding: integers [samples, size], or None.
    """

    margin: Numbers
    confidence: Numbers
    energy: Numbers
    classes: NDArray[np.int64]
    embedding: NDArray[np.int64] | None


def measure_input(array: Array, layout: Layout) -> Features:
    """Returns the features [samples, features] of an input without `Layout.fault`."""
    if layout.is_vector:
        return features.measure_vectors(array.reshape(-1, layout.channels), layout)
    return np.array([features.measure(frame, layout) for frame in layout.frames(array)])


def output_fault(outputs: Mapping[str, object], name: str | None) -> str | None:
    """Returns why an output cannot be looked at, in words, or None."""
    value = None if name is None else outputs.get(name)
    if type(value) is not np.ndarray or value.dtype.kind != "f" or value.ndim < 2 or value.size == 0:
        return "not an array of floats [samples, ...]"
    return None


def measure_outputs(
    outputs: Mapping[str, Array], scores: str, kind: str, embedding: str | None, scale: float
) -> OutputMeasurement:
    """Returns what the model made of some samples; the outputs must be without fault."""
    logits, total = _logits(outputs, scores, kind)
    vectors = None if embedding is None else _quantised(projected(rows_of(outputs[embedding])), scale)
    classes = logits.argmax(axis=1).astype(np.int64)
    with np.errstate(all="ignore"):
        confidence = total - logits.max(axis=1)
    return OutputMeasurement(-_lead(logits, classes), confidence, -total, classes, vectors)


def measure_squeezed(
    outputs: Mapping[str, Array], of_squeezed: Mapping[str, Array], scores: str, kind: str
) -> Numbers:
    """Returns how much of its lead the best class of each sample loses when the sample is squeezed.

    The outputs must be without fault; those of other shapes lose everything.
    """
    before, after = (_logits(each, scores, kind)[0] for each in (outputs, of_squeezed))
    if before.shape != after.shape:
        return np.full(len(before), np.inf)
    classes = before.argmax(axis=1)
    with np.errstate(all="ignore"):
        return _lead(before, classes) - _lead(after, classes)


def rows_of(values: Array) -> Numbers:
    """Returns an output as numbers [samples, ...]."""
    return values.astype(np.float64).reshape(len(values), -1)


def projected(rows: Numbers) -> Numbers:
    """Returns embeddings [samples, at most 64], longer ones multiplied with a matrix of signs."""
    width = rows.shape[1]
    with np.errstate(all="ignore"):  # what is no number becomes 1 when it is quantised
        return rows if width <= EMBEDDING_SIZE else np.asarray(rows @ _signs(width))


def _logits(outputs: Mapping[str, Array], scores: str, kind: str) -> tuple[Numbers, Numbers]:
    """Returns logits [samples, classes] and the logarithm of the sum of their exponentials [samples]."""
    rows = rows_of(outputs[scores])
    with np.errstate(all="ignore"):
        logits = rows if kind == "logits" else np.log(np.maximum(rows, 1e-300))
        highest = logits.max(axis=1)
        return logits, highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))


def _lead(logits: Numbers, classes: NDArray[np.int64]) -> Numbers:
    """Returns by how much the score of a class of each sample exceeds that of its best rival."""
    own = np.arange(logits.shape[1]) == classes[:, None]
    with np.errstate(all="ignore"):
        # Without rivals, with one class alone, nothing leads.
        return np.asarray(logits[own] - np.where(own, -np.inf, logits).max(axis=1))


def _quantised(rows: Numbers, scale: float) -> NDArray[np.int64]:
    numbers = np.nan_to_num(rows / scale, nan=1.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
    quantised: NDArray[np.int64] = np.rint(numbers * EMBEDDING_UNIT).astype(np.int64)
    return quantised


@lru_cache(maxsize=4)
def _signs(width: int) -> Numbers:
    """Returns [width, 64] of -1 and 1 that look random and are the same everywhere."""
    bits = np.frombuffer(hashlib.shake_256(_PROJECTION).digest(width * EMBEDDING_SIZE // 8), np.uint8)
    signs: Numbers = np.unpackbits(bits).reshape(width, EMBEDDING_SIZE).astype(np.float64) * 2 - 1
    return signs
