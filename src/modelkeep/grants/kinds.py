"""Counting kinds of grants, for messages."""

from __future__ import annotations

from collections import Counter

_MOST_KINDS = 8
_OTHERS = "others"


def count_kind(kinds: Counter[str], kind: str) -> None:
    """Counts one grant of `kind`; an endless stream of invented kinds does not fill the memory."""
    kinds[kind if kind in kinds or len(kinds) < _MOST_KINDS else _OTHERS] += 1
