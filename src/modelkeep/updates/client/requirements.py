"""Whether a device has what a release asks for: found out before gigabytes are fetched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from modelkeep._version import __version__
from modelkeep.errors import RefusedError, UnavailableError
from modelkeep.storage import words_for
from modelkeep.updates.release_document import Requires


def check_requirements(requires: Requires, folder: Path, reusable: int = 0) -> None:
    """Accepts a release that this device can take.

    Args:
        requires: what it asks for.
        folder: where it is to be installed.
        reusable: bytes there that it will take the place of.

    Raises:
        RefusedError: it is for a newer modelkeep, or for a larger device.
        UnavailableError: there is no room on the disk.
    """
    if requires.modelkeep is not None and _this_version() < requires.modelkeep:
        wanted = ".".join(map(str, requires.modelkeep))
        raise RefusedError(
            f"the release needs modelkeep {wanted}, and this is {__version__}", hint="update it"
        )
    if requires.guard is not None:
        _check_guard(requires.guard)
    if requires.memory > (memory := _memory()):
        raise RefusedError(f"the release needs {requires.memory} bytes of memory; this device has {memory}")
    with words_for(folder):
        free = shutil.disk_usage(folder).free + reusable
    if requires.disk > free:
        raise UnavailableError(
            f"the release needs {requires.disk} bytes of disk, and {free} are free", hint="make some room"
        )


def _check_guard(wanted: int) -> None:
    # NumPy takes as much memory as all the rest.
    from modelkeep.guard.summary import SUITE

    if wanted != SUITE:
        raise RefusedError(
            f"the guard's profile of the release is of version {wanted}, and this knows {SUITE}",
            hint="update modelkeep, or learn the profile anew",
        )


def _this_version() -> tuple[int, ...]:
    return tuple(int(part) for part in __version__.split(".")[:3])


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
