"""Grants to a fleet: CPU, time and memory of `grant_all` for some number of devices.

    python -m benches.fleet 1000000

The first row of the table of grants, with other numbers. A million take about two minutes on two processors,
0.6 GB of disk, and some time before and after, for making the keys and reading the grants.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benches.runner import ROOT, Settings, compile_sources, run_table
from benches.tables import TABLES
from modelkeep.device.state_place import FOLDER_VARIABLE


def main() -> None:
    """Prints a line for each number of devices."""
    table = next(table for table in TABLES if table.key == "grants")
    alone = replace(table, contestants=table.contestants[:1])
    compile_sources(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[FOLDER_VARIABLE] = f"{scratch}/state"
        settings = Settings(rounds=1, seed=0, cold=False, scratch=Path(scratch), say=lambda _words: None)
        for count in map(int, sys.argv[1:] or ["100000"]):
            (row,) = run_table(alone, count, settings).rows
            if row.failure is not None:
                sys.exit(row.failure)
            (took,) = row.samples
            facts = f"{took.cpu:.1f} s of CPU, {took.wall:.1f} s; {took.peak / 1e6:.0f} MB"
            print(f"{count:,} grants: {facts}", flush=True)


if __name__ == "__main__":
    main()
