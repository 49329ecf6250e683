"""Sums over samples that are integers: any order gives the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.numbers import Numbers

Integers = NDArray[np.int64]

_BUFFERED = 256
_RIDGE = 0.05
_LEAST = 1e-4


@dataclass(slots=True)
class Moments:
    """Count, sums and, where wanted, sums of products of integer vectors below 2^22.

    Attributes:
        size: length of the vectors.
        with_products: whether products of every two components are summed.
        count: vectors seen.
    """

    size: int
    with_products: bool
    count: int = 0
    _sums: NDArray[Any] = field(init=False)
    _products: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        # Python integers, which do not overflow.
        self._sums = np.zeros(self.size, object)
        self._products = np.zeros((self.size, self.size) if self.with_products else (0, 0), object)

    def add(self, rows: Integers) -> None:
        """Adds vectors [n, size]."""
        for start in range(0, len(rows), _BUFFERED):
            part = rows[start : start + _BUFFERED]
            self.count += len(part)
            self._sums += part.sum(axis=0)
            if self.with_products:
                self._products += part.T @ part

    def mean(self, unit: int) -> Numbers:
        """Returns the mean of the vectors, divided by `unit`."""
        return np.array([float(Fraction(int(total), self.count * unit)) for total in self._sums])

    def covariance(self, unit: int) -> Numbers:
        """Returns the covariance of the vectors divided by `unit`, rounded once at the end."""
        scatter = self.count * self._products - np.outer(self._sums, self._sums)
        scale = (self.count * unit) ** 2
        flat = [float(Fraction(int(value), scale)) for value in scatter.ravel()]
        return np.array(flat).reshape(self.size, self.size)


def whitening(covariance: Numbers, least: float | Numbers = _LEAST) -> Numbers:
    """Returns the lower triangular W for which W x has a covariance close to the unit matrix.

    Deviations count as `least` at least: what never moved in these samples may move a little in others.
    The correlations are shrunk a little towards none, so that W exists even for features that
    depend on each other. Computed without a linear algebra library, whose last digits vary.
    """
    scale = np.sqrt(np.maximum(np.diag(covariance), least * least))
    correlation = (1 - _RIDGE) * covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    root = _cholesky(correlation)
    return _inverse(root) / scale


def _cholesky(matrix: Numbers) -> Numbers:
    size = len(matrix)
    root = np.zeros((size, size))
    for column in range(size):
        rest = matrix[column:, column] - _dot(root[column:, :column], root[column, :column])
        root[column:, column] = rest / np.sqrt(rest[0])
    return root


def _inverse(root: Numbers) -> Numbers:
    size = len(root)
    result = np.zeros((size, size))
    for row in range(size):
        result[row] = -_dot(result[:row].T, root[row, :row])
        result[row, row] += 1.0
        result[row] /= root[row, row]
    return result


def _dot(rows: Numbers, vector: Numbers) -> Numbers:
    # Added one after the other, in an order that no library chooses.
    total = np.zeros(len(rows))
    for column, factor in enumerate(vector):
        total += rows[:, column] * factor
    return total
