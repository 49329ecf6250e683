"""Tables of what was measured, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benches.runner import PRIMED_COPIES, PRIMED_HUGE_COPIES, Result, Row, Settings
from benches.sample import Sample
from benches.sizes import size_label
from benches.tables import Table, Unit

_HOW_TO_READ = """\
# Benchmarks

Written by `python -m benches`; do not edit. The figures are of one machine: compare the rows of a
table with each other, not with figures from elsewhere.

![Median rates of the largest size](benchmarks.svg)

## How to read the tables

- **Every sample is a fresh process.** The order of the rows is shuffled anew in every round (seed
  {seed}, {rounds} rounds). Before each sample another process {temperature}
  and touches memory: {copies} times the model's size in ordinary pages and {huge} times in huge ones. It
  is freed right before the timed part, so nobody gains or loses by what the one before did. On a
  virtual machine whose host takes free memory back, a program that starts without this pays up to
  2 cpu-s/GB more to touch its memory.
- **Rates and times** are wall time of the work itself, as median (best); imports and interpreter
  start-up are outside, except where a row is a command. 1 GB is 10^9 bytes.
- **modelkeep is** compares the medians of the first column: 2x means that the first row is twice as
  fast as this one, 0.5x that it takes twice as long.
- **above floor** is the row's median time against that of its floor, which is measured in the same run: the
  same bytes through bare calls, without keys, formats and signatures. 1x is the floor.
- **cpu-s/GB** is the processor time of the whole process, children, imports and start-up included, up
  to the end of the work; *timed part* is that of the work alone. Both are the lowest of all rounds.
- **Peak memory** is the highest resident size of the largest process (`ru_maxrss`), Python and its
  libraries included; N is the size of the model. A command's shows as no less than that of the
  Python which starts it, 20 to 30 MB.
- **Every sample is checked** outside the timed part: plaintexts are compared with the original, sealed
  files are opened again, verifiers must refuse the file with one bit changed. A row whose check fails
  even once says so and shows no figures.
- **Instructions** are counted by `valgrind`, whose processor has no AVX-512. They compare versions, and
  machines whatever else runs there, and are no measure of speed; the kernel's part is not in them.
- Model files are random bytes. Wiping at the end is outside the timed part.
"""

_WARM = "reads its input files into the page cache"
_COLD = "empties the page cache, programs included"


def document(results: Sequence[Result], machine: Mapping[str, str], others: float, settings: Settings) -> str:
    """Returns the whole page.

    Args:
        results: what was measured, in the order of the page.
        machine: facts about the machine, by name.
        others: share of the processors that other programs used meanwhile, 0 to 1.
        settings: how it was measured.
    """
    facts = [f"| {name} | {value} |" for name, value in machine.items()]
    return "\n".join(
        [
            _HOW_TO_READ.format(
                seed=settings.seed,
                rounds=settings.rounds,
                copies=PRIMED_COPIES,
                huge=PRIMED_HUGE_COPIES,
                temperature=_COLD if settings.cold else _WARM,
            ),
            "## The machine",
            "",
            "| | |",
            "|---|---|",
            *facts,
            "",
            _company(others),
            "",
            *map(section, results),
        ]
    )


def loaded(others: float) -> bool:
    """Returns whether other programs used so much of the processors that figures are indicative only."""
    return others >= 0.05


def _company(others: float) -> str:
    words = f"Other programs kept {others:.0%} of the processors busy during the measurement."
    if not loaded(others):
        return words
    return f"{words} **The machine was loaded: take these figures as indicative.**"


def section(result: Result) -> str:
    """Returns one table with its heading."""
    table, work, rows = result.table, result.work, result.rows
    title = f"{table.title}, {size_label(work)}" if table.work is None else table.title
    lines = _bytes_table(table, work, rows) if table.unit is Unit.BYTES else _plain_table(table, work, rows)
    return "\n".join([f"## {title}", "", table.about, "", *lines, ""])


def _bytes_table(table: Table, work: int, rows: Sequence[Row]) -> list[str]:
    heads = ["", "GB/s", "modelkeep is", "above floor", "cpu-s/GB", "timed part", "peak memory"]
    if table.writes:
        heads.insert(2, "without fsync")
    lines = _head(heads)
    for row in rows:
        if row.failure is not None:
            lines.append(_failed(row, len(heads)))
            continue
        rates = [work / sample.wall / 1e9 for sample in row.samples]
        cells = [
            row.contestant.name,
            _middle(rates),
            *_comparisons(table, rows, row),
            *_costs(work, row.samples),
        ]
        if table.writes:
            cells.insert(2, _middle([work / (sample.wall - sample.synced) / 1e9 for sample in row.samples]))
        lines.append(_line(cells))
    return lines


def _plain_table(table: Table, work: int, rows: Sequence[Row]) -> list[str]:
    heads = ["", table.unit.value, "modelkeep is", "above floor", "peak memory", ""]
    lines = _head(heads)
    for row in rows:
        if row.failure is not None:
            lines.append(_failed(row, len(heads)))
            continue
        memory = f"{max(sample.peak for sample in row.samples) / 1e6:.0f} MB"
        figures = _figures(table, work, row.samples)
        comparisons = _comparisons(table, rows, row)
        lines.append(_line([row.contestant.name, figures, *comparisons, memory, row.samples[0].detail]))
    return lines


def _figures(table: Table, work: int, samples: Sequence[Sample]) -> str:
    walls = [sample.wall for sample in samples]
    if table.unit is Unit.TIMES:
        return f"{statistics.median(walls) * 1e3:.0f} ({min(walls) * 1e3:.0f})"
    return f"{work / statistics.median(walls):,.0f} ({work / min(walls):,.0f})"


def _costs(work: int, samples: Sequence[Sample]) -> list[str]:
    peak = max(sample.peak for sample in samples)
    return [
        f"{min(sample.cpu for sample in samples) / work * 1e9:.2f}",
        f"{min(sample.run_cpu for sample in samples) / work * 1e9:.2f}",
        f"{peak / 1e6:,.0f} MB ({peak / work:.2f} N)",
    ]


def _comparisons(table: Table, rows: Sequence[Row], row: Row) -> list[str]:
    """Returns how the first row compares with this one, and this one with its floor."""
    first = rows[0] if table.compared else row
    floors = [each for each in rows if each.contestant.peer == row.contestant.floor]
    return [_ratio(first, row), _ratio(floors[0], row) if floors else ""]


def _ratio(reference: Row, row: Row) -> str:
    """Returns how many times as long as `reference` this row takes."""
    if row is reference or reference.failure is not None:
        return ""
    walls = [statistics.median(sample.wall for sample in each.samples) for each in (row, reference)]
    return f"{walls[0] / walls[1]:.2g}x" if walls[0] < 10 * walls[1] else f"{walls[0] / walls[1]:.0f}x"


def _middle(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):.2f} ({max(rates):.2f})"


def _failed(row: Row, columns: int) -> str:
    reason = (row.failure or "").replace("|", "/").replace("\n", " ")[:160]
    reason = reason if reason.startswith("not installed") else f"failed: {reason}"
    return _line([row.contestant.name, reason, *[""] * (columns - 2)])


def _head(heads: Sequence[str]) -> list[str]:
    return [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
