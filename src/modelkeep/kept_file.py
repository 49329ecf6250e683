"""A file beside a target that is still to become it, and that is kept for the next try if it does not.

Its name can be foreseen, unlike a `Partial`'s, so that it is found again; and it counts for nothing that
somebody else could have put there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from modelkeep.partial import is_ours, name_beside, remove_left_behind, take_name

_KIND = "arriving"
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


class InUseError(Exception):
    """Somebody else works on it, or owns what has its name."""


class KeptFile:
    """A new or kept file, open and locked.

    Attributes:
        path: where it is.
        descriptor: open on it.
    """

    def __init__(self, target: Path, unique: str) -> None:
        """Opens what is kept for `target` under `unique` (8 characters); files of other tries are removed.

        Raises:
            InUseError: another process has it, or another user made it.
            OSError: it cannot be made.
        """
        self.path = name_beside(target, unique, _KIND)
        self.descriptor = _open_own(self.path)
        remove_left_behind(target, _KIND)

    def take_name(self, target: Path, take: Callable[[Path, Path], object]) -> None:
        """See `Partial.take_name`."""
        take_name(self.descriptor, self.path, target, take)
        # A link is another name for it; the first one has done its work.
        self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Lets go of it; what is there is kept, unless it is empty or took the target's name."""
        if not os.fstat(self.descriptor).st_size:
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def _open_own(path: Path) -> int:
    for _ in range(2):
        descriptor = _opened(path)
        try:
            if not is_ours(path, descriptor):
                raise InUseError
            if _is_private(descriptor):
                kept, descriptor = descriptor, -1
                return kept
            # Another name for something that is installed already, or something that others may write.
            path.unlink()
        except PermissionError:
            raise InUseError from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    raise InUseError


def _opened(path: Path) -> int:
    try:
        return os.open(path, _OPEN, 0o600)
    except OSError as error:
        # Somebody else's file, or a link; never one of ours.
        if error.errno in (errno.EACCES, errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise InUseError from None
        raise


def _is_private(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and status.st_nlink == 1
        and not stat.S_IMODE(status.st_mode) & 0o077
    )
