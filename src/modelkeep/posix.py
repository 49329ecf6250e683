"""What everything that touches files stands on, and Windows has not: locks, owners, folders held open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.errors import UnavailableError

_MODULES = ("fcntl", "pwd", "resource")


@contextmanager
def importing() -> Iterator[None]:
    """Says what the lack of a module means that POSIX systems have.

    Raises:
        UnavailableError: this is no such system.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _MODULES:
            raise
        raise UnavailableError(
            f"{sys.platform} is no POSIX system", hint="use Linux; on Windows, that of WSL 2"
        ) from error
