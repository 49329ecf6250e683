"""Numbers in JSON without floats. Source: spec/guard-v1.md, "Encoding"."""

from __future__ import annotations

import math

import numpy as np

from modelkeep.guard.numbers import Numbers
from modelkeep.record import Record


def number(record: Record, name: str) -> float:
    """Takes a number, written as C's `%a` does.

    Raises:
        MalformedError: not one, or in another spelling.
    """
    text = record.text(name, longest=64)
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        raise record.fault(name, "is not a hexadecimal float") from None
    # One spelling for each value; NaN and infinities have none.
    if value.hex() != text or not math.isfinite(value):
        raise record.fault(name, "is not a finite float in canonical hexadecimal form")
    return value


def pack(values: Numbers) -> str:
    """Returns numbers as text: IEEE 754 doubles, big-endian, in hexadecimal."""
    return values.astype(">f8").tobytes().hex()


def numbers(record: Record, name: str, count: int) -> Numbers:
    """Takes `count` packed numbers.

    Raises:
        MalformedError: others, or some that are not finite.
    """
    values = np.frombuffer(record.hexadecimal(name, 8 * count), ">f8").astype(np.float64)
    if not np.isfinite(values).all():
        raise record.fault(name, "holds a number that is not finite")
    return values
