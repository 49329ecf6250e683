"""Two checkouts side by side: which rows got faster or slower beyond noise.

    python -m benches.compare COMMIT [--sizes 4MB,100MB] [--rounds 5] [--short]

COMMIT is checked out beside, with its own `benches`; both take turns in a new order in every round. A row
has changed when all samples of one lie on one side of all samples of the other and the medians differ by
three per cent or more; of five samples each, chance alone does that once in 126 rows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benches import machine
from benches.peer import SOURCE
from benches.runner import ROOT, Row, Settings, compile_sources, take_samples, write_random
from benches.sizes import size_label, sizes
from benches.tables import TABLES, Contestant, Table, Unit

LEAST = 0.03
SHORT = ("modelkeep:Open", "startup:ImportForOpening")
_HEAD = ("| | time, base | here | here / base | CPU, here / base | |", "|---|---:|---:|---:|---:|---|")


def main() -> None:
    """Prints a table for each size, and what got slower."""
    arguments = _parser().parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="modelkeep-compare-", dir=arguments.scratch) as scratch,
        _checked_out(arguments.commit, Path(scratch, "base")) as base,
    ):
        os.environ["MODELKEEP_STATE"] = str(Path(scratch, "state"))
        for checkout in (base, ROOT):
            compile_sources(checkout)
        settings, busyness = Settings(arguments.rounds, 17, False, Path(scratch), _say), machine.Busyness()
        slower = [
            name
            for table, work in _tables(arguments)
            for name in _compared(table, work, base, settings)
        ]  # fmt: skip
    print(f"Other programs kept {busyness.others():.0%} of the processors busy.")
    print(f"Slower: {', '.join(slower)}" if slower else "Nothing is slower beyond noise.")


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Path]:
    _git("worktree", "add", "--detach", "--force", str(folder), commit)
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *words], check=True, stdout=sys.stderr)


def _tables(arguments: argparse.Namespace) -> Iterator[tuple[Table, int]]:
    for table in TABLES:
        ours = tuple(each for each in table.contestants if _is_ours(each, arguments.short))
        if ours:
            chosen = Table(table.key, table.title, table.about, table.unit, ours, table.work)
            for work in arguments.sizes if table.work is None else [table.work]:
                yield chosen, work


def _is_ours(contestant: Contestant, short: bool) -> bool:
    if short:
        return contestant.peer in SHORT
    return "modelkeep" in contestant.name


def _compared(table: Table, work: int, base: Path, settings: Settings) -> list[str]:
    """Prints the rows of one table; returns the names of those that got slower."""
    title = f"{table.key} {size_label(work) if table.unit is Unit.BYTES else ''}".strip()
    settings.say(title)
    pairs = _measured(table, work, base, settings)
    print(f"\n## {title}\n", *_HEAD, sep="\n")
    slower = []
    for before, after in pairs:
        verdict = _verdict(before, after)
        print(_line(before, after, verdict), flush=True)
        if verdict == "slower":
            slower.append(f"{title}: {after.contestant.name}")
    return slower


def _measured(table: Table, work: int, base: Path, settings: Settings) -> list[tuple[Row, Row]]:
    folder = settings.scratch / "table"
    sides = {folder / "before": base, folder / "here": ROOT}
    for side in sides:
        side.mkdir(parents=True)
        write_random(side / SOURCE, work if table.unit is Unit.BYTES else 0)
    before, here = (
        [Row(each, side / f"peer-{n}", checkout=checkout) for n, each in enumerate(table.contestants)]
        for side, checkout in sides.items()
    )
    try:
        take_samples(table, [*before, *here], work, settings)
    finally:
        shutil.rmtree(folder)
    return list(zip(before, here, strict=True))


def _verdict(before: Row, after: Row) -> str:
    if before.failure or after.failure:
        return f"not compared: {before.failure or after.failure}"[:100]
    return judged([each.wall for each in before.samples], [each.wall for each in after.samples])


def judged(before: Sequence[float], after: Sequence[float]) -> str:
    """Returns what became of a row: ``slower``, ``faster``, or nothing beyond noise."""
    ratio = statistics.median(after) / statistics.median(before)
    if min(after) > max(before) and ratio > 1 + LEAST:
        return "slower"
    if max(after) < min(before) and ratio < 1 - LEAST:
        return "faster"
    return ""


def _line(before: Row, after: Row, verdict: str) -> str:
    if not before.samples or not after.samples:
        return f"| {after.contestant.name} | | | | | {verdict} |"
    walls, costs = (
        [statistics.median(getattr(each, unit) for each in row.samples) for row in (before, after)]
        for unit in ("wall", "run_cpu")
    )
    times = f"{walls[0] * 1e3:.1f} ms | {walls[1] * 1e3:.1f} ms | {walls[1] / walls[0]:.2f}"
    return f"| {after.contestant.name} | {times} | {costs[1] / costs[0]:.2f} | {verdict} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benches.compare", description=__doc__)
    parser.add_argument("commit", help="what to compare with")
    parser.add_argument("--sizes", type=sizes, default="4MB,100MB", help="model sizes (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="samples per row and side (%(default)s)")
    parser.add_argument("--short", action="store_true", help="the few rows that a change shows in soonest")
    parser.add_argument("--scratch", type=Path, help="write there, for example on a tmpfs: /dev/shm")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
