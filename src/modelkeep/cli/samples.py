"""Samples for `learn` and `guard report`, and their labels, from array files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.arrays import read_arrays
from modelkeep.errors import UsageError

Sample = Mapping[str, NDArray[Any]]
Labels = list[NDArray[Any]]

_FILE_OF_LABELS = ".npy"


def size_of_samples(arguments: argparse.Namespace) -> int:
    """Returns how many bytes of files there are to read, for progress; nothing for what is not there."""
    paths = (Path(path) for path in arguments.samples)
    return sum(path.stat().st_size for path in paths if path.is_file())


def read_samples(
    arguments: argparse.Namespace, advance: Callable[[int], None] = lambda _count: None
) -> Iterator[Sample]:
    """Yields the inputs of one call after the other; `advance` is told the bytes of files that are done.

    Raises:
        StorageError: a file cannot be read.
        MalformedError: a file holds no arrays.
        UsageError: arrays that cannot be cut into samples.
    """
    for path in arguments.samples:
        arrays = read_arrays(path, arguments.input if path.endswith(".npy") else None)
        samples = _unstacked(path, arrays) if arguments.stacked else [arrays]
        size = Path(path).stat().st_size
        for done, sample in enumerate(samples, start=1):
            yield sample
            # A whole number of bytes for each, which add up to the file.
            advance(size * done // len(samples) - size * (done - 1) // len(samples))


def with_labels(samples: Iterable[Sample], name: str | None) -> tuple[list[Sample], Labels | None]:
    """Returns the samples without their labels, and the labels of each.

    Args:
        samples: what `read_samples` yields.
        name: the array of labels in every sample, or a .npy file with the labels of all; None for none.

    Raises:
        StorageError: the file cannot be read.
        MalformedError: it holds no array.
        UsageError: a sample without labels, or a file with too many or too few.
    """
    found = list(samples)
    if name is None:
        return found, None
    if name.endswith(_FILE_OF_LABELS):
        return found, _dealt(name, read_arrays(name, "labels")["labels"], found)
    return list(without(found, name)), [sample[name] for sample in found]


def _dealt(path: str, labels: NDArray[Any], samples: Sequence[Sample]) -> Labels:
    """Returns the labels of a file by sample: one for each call, or one for each row of every call."""
    rows = [max((len(array) for array in sample.values() if array.ndim), default=1) for sample in samples]
    if labels.ndim == 1 and len(labels) == len(samples):
        rows = [1] * len(samples)
    elif labels.ndim != 1 or len(labels) != sum(rows):
        raise UsageError(
            f"{path}: labels of shape {labels.shape} for {sum(rows)} samples",
            hint="one number for each sample",
        )
    return np.split(labels, np.cumsum(rows)[:-1])


def _unstacked(path: str, arrays: Mapping[str, Any]) -> Sequence[Sample]:
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1:
        raise UsageError(f"{path}: --stacked needs arrays with as many samples each")
    return [
        {name: array[place : place + 1] for name, array in arrays.items()} for place in range(counts.pop())
    ]


def without(samples: Iterable[Sample], name: str | None) -> Iterator[Sample]:
    """Yields the samples without the array `name`; None leaves nothing out.

    Raises:
        UsageError: a sample has no such array.
    """
    for place, sample in enumerate(samples, start=1):
        if name is not None and name not in sample:
            raise UsageError(
                f"sample {place} holds no array {name!r}",
                hint="name the array of labels, or for .npy samples a .npy file of labels",
            )
        yield {key: value for key, value in sample.items() if key != name}
