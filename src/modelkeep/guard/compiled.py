"""The guard's compiled code, where it is installed: a distribution of its own, from rust/statistics."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from modelkeep.guard.numbers import Array
from modelkeep.guard.summary import SUITE

# Element types that it takes, and what it calls them.
KINDS: Mapping[np.dtype[Any], str] = MappingProxyType(
    {
        np.dtype(np.float32): "f32",
        np.dtype(np.float16): "f16",
        np.dtype(np.uint8): "u8",
        np.dtype(np.int8): "i8",
    }
)


@cache
def compiled() -> Any | None:
    """Returns the module, or None without it, or with one of another version."""
    try:
        module = importlib.import_module("modelkeep_statistics")
    except ModuleNotFoundError:  # NumPy computes the same, slower
        return None
    except Exception as error:  # as where it was compiled for another machine
        _warn(f"cannot be imported, so that NumPy computes, slower: {error!s:.200}")
        return None
    if getattr(module, "SUITE", None) != SUITE or not hasattr(module, "Judge"):
        _warn("belongs to another version of modelkeep")
        return None
    return module


def _warn(words: str) -> None:
    # Rare, and this module is imported by openings that have no guard.
    from logging import getLogger

    getLogger("modelkeep.guard").warning("the installed modelkeep-statistics %s", words)


def as_buffer(values: Array) -> Array:
    """Returns an array as the module takes it: a buffer of float16 has no type that it could name."""
    return values.view(np.uint16) if values.dtype == np.float16 else values
