"""Takes the samples of a table: fresh processes, shuffled order, the same start for everybody."""

from __future__ import annotations

import compileall
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.peer import PIECE, SOURCE
from benches.sample import Sample
from benches.tables import Contestant, Table, Unit

# Copies of the model in ordinary pages, as the hungriest peer holds them, and in huge pages.
PRIMED_COPIES, PRIMED_HUGE_COPIES = 3, 2
TIMEOUT = 1800
ROOT = Path(__file__).parent.parent


@dataclass
class Row:
    """What one contestant reached.

    Attributes:
        samples: one per round, in order.
        failure: why there are none, or why they do not count.
        checkout: the sources that run it.
    """

    contestant: Contestant
    folder: Path
    inputs: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None
    checkout: Path = ROOT


@dataclass(frozen=True, slots=True)
class Result:
    """One table, measured.

    Attributes:
        work: bytes or items that every run handled.
    """

    table: Table
    work: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        rounds: samples per contestant.
        seed: of the shuffled orders.
        cold: start with the input files out of the page cache.
        scratch: folder for everything that is written.
        say: told what is going on.
    """

    rounds: int
    seed: int
    cold: bool
    scratch: Path
    say: Callable[[str], None]


def run_table(table: Table, work: int, settings: Settings) -> Result:
    """Returns a row for every contestant of `table`, each doing `work` bytes or items."""
    folder = settings.scratch / f"{table.key}-{work}"
    folder.mkdir()
    try:
        if table.work is None:
            write_random(folder / SOURCE, work)
        rows = [Row(contestant, folder / f"peer-{n}") for n, contestant in enumerate(table.contestants)]
        take_samples(table, rows, work, settings)
    finally:
        shutil.rmtree(folder)
    return Result(table, work, rows)


def take_samples(table: Table, rows: list[Row], work: int, settings: Settings) -> None:
    """Prepares all `rows` and takes their samples, in a new order in every round."""
    for row in rows:
        prepare(row, work, settings)
    os.sync()
    _take_rounds(table, rows, work, settings)


def write_random(path: Path, size: int) -> None:
    """Writes `size` bytes that no file system can compress."""
    with path.open("wb", buffering=0) as file:
        while size:
            size -= file.write(os.urandom(min(size, PIECE)))


def prepare(row: Row, work: int, settings: Settings) -> None:
    """Lets the contestant make its keys and inputs; the row says what went wrong."""
    answer = _sample_process("prepare", row, work, settings)
    row.failure = answer.get("error")
    row.inputs = answer.get("inputs", [])
    if row.failure:
        settings.say(f"  {row.contestant.name}: {row.failure}")


def _take_rounds(table: Table, rows: list[Row], work: int, settings: Settings) -> None:
    order = random.Random(f"{settings.seed}/{table.key}/{work}")
    for number in range(settings.rounds):
        settings.say(f"  round {number + 1} of {settings.rounds}")
        for row in order.sample(rows, len(rows)):
            if row.failure is None:
                _take_sample(table, row, work, settings)


def _take_sample(table: Table, row: Row, work: int, settings: Settings) -> None:
    with _primed(work if table.unit is Unit.BYTES else 0, row.inputs, settings) as free_memory:
        answer = _sample_process("measure", row, work, settings, free_memory)
    if "error" in answer:
        row.failure = answer["error"]
        settings.say(f"  {row.contestant.name}: {row.failure}")
        return
    row.samples.append(Sample(**answer))


@contextmanager
def _primed(size: int, inputs: list[str], settings: Settings) -> Iterator[Callable[[], object]]:
    """Runs the primer; gives a call that frees its memory and waits until it is free."""
    spare = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    amounts = [str(min(copies * size, spare)) for copies in (PRIMED_COPIES, PRIMED_HUGE_COPIES)]
    with _python("benches.primer", "cold" if settings.cold else "warm", *amounts, *inputs) as primer:
        _first_line(primer)
        yield lambda: _finish(primer)


def _sample_process(
    action: str, row: Row, work: int, settings: Settings, when_ready: Callable[[], object] | None = None
) -> dict[str, Any]:
    words = (action, row.contestant.target, str(row.folder), str(work))
    with _python("benches.sample", *words, checkout=row.checkout) as process:
        first = ""
        if when_ready is not None:
            first = _first_line(process)
            when_ready()
        try:
            output, errors = _finish(process)
        except subprocess.TimeoutExpired:
            process.kill()
            return {"error": f"took more than {TIMEOUT} s"}
    answer = _parse(first + output, errors, process.returncode)
    if "error" in answer:
        answer["error"] = answer["error"].replace(str(settings.scratch), "")
    return answer


def environment(checkout: Path) -> dict[str, str]:
    """Returns what a measured process finds around it: the sources of `checkout`, with bytecode."""
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return settings | {"PYTHONPATH": str(checkout / "src")}


def compile_sources(checkout: Path) -> None:
    """Leaves the bytecode that an installed package has: no figure is one of Python's compiler."""
    for folder in ("src", "benches"):
        compileall.compile_dir(checkout / folder, quiet=2)


def _python(module: str, *words: str, checkout: Path = ROOT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=checkout,
        env=environment(checkout),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _first_line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline() if process.stdout is not None else ""


def _finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Closes the process's standard input and waits for its end."""
    return process.communicate(timeout=TIMEOUT)


def _parse(output: str, errors: str, code: int) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        said = errors.strip().splitlines() or ["no reason given"]
        return {"error": f"ended with code {code}: {said[-1]}"}
    return answer
