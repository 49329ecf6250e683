"""Memory: can weights get from it to a disk?"""

from __future__ import annotations

import resource
from collections.abc import Iterator

from modelkeep.posture.finding import Finding, claimed
from modelkeep.probes.system import System

# Compressed memory, not a disk.
_IN_MEMORY = "/dev/zram"
_USEFUL_LOCK = 2**30


def findings(system: System) -> Iterator[Finding]:
    """Yields ``no-swap`` and ``memory-lock``."""
    yield _swap(system.text("proc/swaps"))
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    enough = soft < 0 or soft >= _USEFUL_LOCK
    yield claimed("memory-lock", enough, "no limit" if soft < 0 else f"at most {soft} bytes")


def _swap(listed: str | None) -> Finding:
    if listed is None:
        return claimed("no-swap", False, "the kernel does not say")
    names = [line.split()[0] for line in listed.splitlines()[1:] if line.split()]
    on_disk = [name for name in names if not name.startswith(_IN_MEMORY)]
    return claimed("no-swap", not on_disk, ", ".join(on_disk) or "none on a disk")
