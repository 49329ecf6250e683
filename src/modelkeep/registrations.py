"""Whether a package that is installed may register something here: a look for the words, and no more.

To import what reads registrations takes longer than to seal a small model, and most often there are none.
Source: PyPA specifications, "Recording installed projects" and "Entry points".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

_OWN = "modelkeep-"
_INFORMATION = (".dist-info", ".egg-info")
_EGG = ".egg"


def may_exist(group: str) -> bool:
    """Returns False where no other package registers anything under a group of entry points.

    Where packages can lie elsewhere than in folders (archives, eggs, finders of their own), it is True.
    """
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    # Some put paths there that are no text: Python passes them over, and what reads registrations does not.
    folders = map(str, sys.path)
    return finders != [PathFinder] or any(_may_lie_in(folder, group.encode()) for folder in folders)


def _may_lie_in(folder: str, group: bytes) -> bool:
    if folder.lower().endswith(_EGG):
        return True
    try:
        return any(_is_named(group, place) for place in _packages(folder))
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _packages(folder: str) -> Iterator[Path]:
    with os.scandir(folder or ".") as found:
        for each in found:
            if each.name.lower().endswith(_INFORMATION) and not each.name.startswith(_OWN):
                yield Path(each.path)


def _is_named(group: bytes, place: Path) -> bool:
    try:
        return group in (place / "entry_points.txt").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
