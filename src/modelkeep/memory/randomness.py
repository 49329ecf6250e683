"""Randomness: secrets that never exist outside the buffer they are made for, and what may be seen.

The one place that asks the system for it. tests/unit/test_randomness.py lists who asks here, and tests each.
"""

from __future__ import annotations

import os
from pathlib import Path

from modelkeep.errors import KeyStoreError


def random_bytes(count: int) -> bytes:
    """Returns `count` bytes for what is no secret, or none that lasts: ids, salts, nonces, challenges."""
    return os.urandom(count)


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
