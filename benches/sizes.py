"""Sizes as people write them."""

from __future__ import annotations

import argparse
import re

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def sizes(text: str) -> list[int]:
    """Returns the bytes of each size in a list such as ``4MB,1GB``; an argument of a command line."""
    found = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d+)(KB|MB|GB)", word.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"not a size: {word!r} (write 4MB or 1GB)")
        found.append(int(match[1]) * _UNITS[match[2]])
    return found


def size_label(size: int) -> str:
    """Returns a size as people write it, for example ``100 MB``."""
    if size >= 10**9:
        return f"{size / 10**9:g} GB"
    return f"{size / 10**6:g} MB"
