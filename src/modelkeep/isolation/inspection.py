"""What the kernel says of a process, which the process itself cannot: whether its filters are in force."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

# One for each step of hardening.
_FILTERS = 3
_COUNT = re.compile(r"^Seccomp_filters:\s*(\d+)$", re.MULTILINE)


def filtered(pid: int, parent: int) -> bool:
    """Returns whether every thread has all filters, as far as this user and this kernel let one see.

    What the other one inherited from its parent does not count: a container's filters, a fork server's.
    """
    inherited = min(_counts(parent), default=0)
    return all(count >= inherited + _FILTERS for count in _counts(pid))


def _counts(pid: int) -> list[int]:
    counts: list[int] = []
    with suppress(OSError):  # hidden from other users, or a thread that has ended meanwhile
        for task in Path("/proc", str(pid), "task").iterdir():
            with suppress(OSError):
                counts += map(int, _COUNT.findall((task / "status").read_text()))
    return counts
