"""Which descriptors this process has open."""

from __future__ import annotations

import gc
from pathlib import Path


def open_descriptors() -> set[int]:
    """Returns their numbers, without the one that looking needs."""
    return {int(each.name) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}


def settled_descriptors() -> set[int]:
    """Does the same before something, when what was there before is closed.

    What earlier tests left in cycles would otherwise be closed between this look and the next.
    """
    gc.collect()
    return open_descriptors()
