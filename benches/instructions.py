"""Counts the instructions of whole verbs, which do not depend on what else a machine does.

Each count is that of a process which does the work, less that of one which only imports what it takes.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benches.peer import SOURCE
from benches.runner import ROOT, Row, Settings, environment, prepare, write_random
from benches.sample import load
from benches.tables import Contestant

SIZE = 4_000_000
VERBS = (
    Contestant("open a bundle", "modelkeep:Open", "floor:Open"),
    Contestant("open an installation", "modelkeep:OpenInstalled", "floor:OpenAlone"),
    Contestant("seal", "modelkeep:Seal", "floor:Seal"),
    Contestant("verify", "modelkeep:Verify", "floor:Verify"),
)
_COUNT = re.compile(r"Collected : (\d+)")


class Count(NamedTuple):
    """Instructions of one verb, and of its floor."""

    name: str
    ours: int
    floor: int


def count_all(settings: Settings, checkout: Path = ROOT) -> list[Count]:
    """Returns the count of every verb, on a model of 4 MB; nothing without `valgrind`."""
    if shutil.which("valgrind") is None:
        settings.say("no valgrind: instructions are not counted")
        return []
    folder = settings.scratch / f"instructions-{abs(hash(checkout))}"
    folder.mkdir()
    write_random(folder / SOURCE, SIZE)
    try:
        return [_count(verb, folder, settings, checkout) for verb in VERBS]
    finally:
        shutil.rmtree(folder)


def section(counts: Sequence[Count]) -> str:
    """Returns the counts as a table with its heading."""
    lines = [
        f"| {each.name} | {each.ours / 1e6:.1f} | {each.floor / 1e6:.1f} | {each.ours / each.floor:.2f}x |"
        for each in counts
    ]
    head = ["| | millions | its floor | above floor |", "|---|---:|---:|---:|"]
    return "\n".join(["## Instructions: a model of 4 MB", "", *head, *lines, ""])


def _count(verb: Contestant, folder: Path, settings: Settings, checkout: Path) -> Count:
    settings.say(f"  instructions: {verb.name}")
    floor = Contestant(verb.name, verb.floor or "")
    ours, least = (_of(each, folder, settings, checkout) for each in (verb, floor))
    return Count(verb.name, ours, least)


def _of(contestant: Contestant, folder: Path, settings: Settings, checkout: Path) -> int:
    row = Row(contestant, folder / contestant.peer.replace(":", "-"), checkout=checkout)
    prepare(row, SIZE, settings)
    if row.failure is not None:
        raise RuntimeError(f"{contestant.peer}: {row.failure}")
    module, _, _ = row.contestant.target.partition(":")
    return _instructions(row.checkout, "run", row.contestant.target, str(row.folder)) - _idle(
        checkout, module
    )


@cache
def _idle(checkout: Path, module: str) -> int:
    """Returns what it takes to import a module of peers, and what the peer stands on."""
    return _instructions(checkout, "import", module)


def _instructions(checkout: Path, *words: str) -> int:
    program = [sys.executable, "-m", "benches.instructions", *words]
    output = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *program],
        check=True,
        capture_output=True,
        text=True,
        cwd=checkout,
        # Sets and dictionaries of text in the same order every time.
        env=environment(checkout) | {"PYTHONHASHSEED": "0"},
    ).stderr
    return int(_COUNT.findall(output)[-1])


def _act(what: str, target: str, folder: str = "") -> None:
    if what == "import":
        importlib.import_module(target)
    else:
        load(target)(Path(folder), SIZE).run()
    # Not what Python does at its end.
    os._exit(0)


if __name__ == "__main__":
    _act(*sys.argv[1:])
