"""Random secrets that never exist outside the buffer they are made for."""

from __future__ import annotations

import os
from pathlib import Path

from modelkeep.errors import KeyStoreError


def fill_random(view: memoryview) -> None:
    """Fills `view` (at most 256 bytes) from the kernel's generator.

    Raises:
        KeyStoreError: the generator cannot be reached.
    """
    try:
        # urandom waits, early at boot, until the generator is seeded; reading its device does not.
        # The device in turn fills our buffer, where urandom would leave a bytes object behind.
        os.urandom(1)
        with Path("/dev/urandom").open("rb", buffering=0) as generator:
            filled = generator.readinto(view)
    except OSError as error:
        raise KeyStoreError("the random generator of the system cannot be reached") from error
    if filled != len(view):
        raise KeyStoreError("the random generator of the system gave too few bytes")
