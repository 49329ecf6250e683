"""How many of how many, with what chance alone leaves open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelkeep.guard.bound import binomial_tail

# What each end of an interval leaves out: together 5 %.
_SIDE = 0.025
_HALVINGS = 50


def share(count: int, of: int) -> dict[str, Any]:
    """Returns a share as a JSON value; `share`, `low` and `high` are None of nothing.

    `low` and `high` are the ends of the exact 95 % interval.
    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    if of == 0:
        return {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    low = 0.0 if count == 0 else _crossing(lambda true: binomial_tail(of, count - 1, true) < 1 - _SIDE)
    high = 1.0 if count == of else _crossing(lambda true: binomial_tail(of, count, true) < _SIDE)
    return {"count": count, "of": of, "share": count / of, "low": low, "high": high}


def _crossing(above: Callable[[float], bool]) -> float:
    """Returns the true share from which on `above` holds."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return (low + high) / 2
