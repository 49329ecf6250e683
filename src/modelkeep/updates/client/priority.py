"""Running behind everybody else: for the processor and, on Linux, for the disk."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress

_NICE = 10
# ioprio_set(2): this process, of the class that gets the disk when nobody else wants it.
_CALLS = {"x86_64": 251, "aarch64": 30, "armv7l": 314, "riscv64": 30}
_WHO_PROCESS = 1
_CLASS_IDLE = 3 << 13


def run_behind_others() -> None:
    """Lowers this process's priority, as far as the system lets it."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    number = _CALLS.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        import ctypes

        # What comes of it does not matter: without it the disk is shared as usual.
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE)
