"""Grants to a fleet: CPU, time and memory of `grant_all` for some number of devices.

    python -m benches.fleet 1000000

The list is made before; what is measured is a process of its own, its CPU with all that it starts. A million
take about two minutes on two processors, 0.6 GB of disk, and some time before for making the keys.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benches.granter import most_memory
from benches.peers.grants import IssueAll
from modelkeep.device.state_place import FOLDER_VARIABLE


def main() -> None:
    """Prints a line for each number of devices."""
    for count in map(int, sys.argv[1:] or ["100000"]):
        with tempfile.TemporaryDirectory() as folder:
            IssueAll(Path(folder), count).prepare()
            done = subprocess.run(
                [sys.executable, "-m", "benches.fleet", "--run", folder, str(count)],
                capture_output=True, check=True, text=True,
                env=os.environ | {FOLDER_VARIABLE: f"{folder}/state"},
            )  # fmt: skip
        facts = json.loads(done.stdout)
        print(
            f"{count:,} grants: {facts['cpu']:.1f} s of CPU, {facts['wall']:.1f} s; {facts['memory']:.0f} MB",
            flush=True,
        )


def run(folder: Path, count: int) -> None:
    """Grants to all, and prints what that took."""
    peer, start = IssueAll(folder, count), time.monotonic()
    peer.run()
    wall = time.monotonic() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    facts = {
        "cpu": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "wall": wall,
        "memory": most_memory(),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
