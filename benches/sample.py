"""One fresh process: prepares a peer, or takes one sample of it; its last line is JSON.

python -m benches.sample prepare|measure MODULE:CLASS FOLDER SIZE
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benches.peer import Peer

MISSING = "not installed"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run cost.

    Attributes:
        wall: seconds that `run` took.
        synced: seconds of `wall` spent in fsync of this process.
        cpu: processor seconds of the process and its children from start to the end of `run`.
        run_cpu: processor seconds of `run` alone, children included.
        peak: resident bytes at their highest, of the largest process.
        detail: a few words from the peer.
    """

    wall: float
    synced: float
    cpu: float
    run_cpu: float
    peak: int
    detail: str


class SyncClock:
    """Counts the time that this process spends in fsync, whoever calls it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._fsync = os.fsync
        os.fsync = self._timed  # type: ignore[assignment]

    def _timed(self, descriptor: Any) -> None:
        start = time.perf_counter()
        try:
            self._fsync(descriptor)
        finally:
            self.seconds += time.perf_counter() - start


def load(name: str) -> type[Peer]:
    """Returns the class that ``module:class`` names."""
    module, _, attribute = name.partition(":")
    found: type[Peer] = getattr(importlib.import_module(module), attribute)
    return found


def measure(peer: Peer) -> Sample:
    """Runs the peer once and checks what it did."""
    clock = SyncClock()
    peer.ready()
    print("ready", flush=True)
    sys.stdin.read()
    clock.seconds = 0.0
    cpu_before, start = _cpu(), time.perf_counter()
    peer.run()
    wall, cpu, synced, peak = time.perf_counter() - start, _cpu(), clock.seconds, _peak()
    peer.check()
    return Sample(wall, synced, cpu, cpu - cpu_before, peak, peer.detail)


def _usages() -> list[resource.struct_rusage]:
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _cpu() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in _usages())


def _peak() -> int:
    return max(usage.ru_maxrss for usage in _usages()) * 1024


def _answer(action: str, name: str, folder: Path, size: int) -> dict[str, Any]:
    try:
        kind = load(name)
    except ModuleNotFoundError as error:
        return {"error": f"{MISSING}: {error.name}"}
    if missing := kind.missing_programs():
        return {"error": f"{MISSING}: {', '.join(missing)}"}
    folder.mkdir(exist_ok=True)
    peer = kind(folder, size)
    try:
        if action == "prepare":
            return {"inputs": [str(path) for path in peer.prepare()]}
        return asdict(measure(peer))
    except Exception as error:  # whatever a peer raises is its result, and shown as such
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        _remove(peer.output)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    action, name, folder, size = sys.argv[1:]
    print(json.dumps(_answer(action, name, Path(folder), int(size))))
