"""Samples for `learn` and `guard report`, from array files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelkeep.arrays import read_arrays
from modelkeep.errors import UsageError


def read_samples(
    arguments: argparse.Namespace, advance: Callable[[int], None] = lambda _count: None
) -> Iterator[Mapping[str, Any]]:
    """Yields the inputs of one call after the other; `advance` is told the files that are done.

    Raises:
        StorageError: a file cannot be read.
        MalformedError: a file holds no arrays.
        UsageError: arrays that cannot be cut into samples.
    """
    for path in arguments.samples:
        arrays = read_arrays(path, arguments.input if path.endswith(".npy") else None)
        if not arguments.stacked:
            yield arrays
        else:
            yield from _unstacked(path, arrays)
        advance(1)


def _unstacked(path: str, arrays: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1:
        raise UsageError(f"{path}: --stacked needs arrays with as many samples each")
    for place in range(counts.pop()):
        yield {name: array[place : place + 1] for name, array in arrays.items()}
