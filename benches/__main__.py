"""`python -m benches`: measures everything side by side, for docs/benchmarks.md and README."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benches import chart, instructions, machine, readme, report
from benches.runner import ROOT, Result, Settings, compile_sources, run_table
from benches.sizes import size_label, sizes
from benches.tables import TABLES, Table

DOCUMENT = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
# Written by people: what is missed, and what was measured about it.
REASONS = Path(__file__).parent / "reasons.md"


def main() -> None:
    """Runs the tables that the command line asks for."""
    arguments = _parser().parse_args()
    tables = [table for table in TABLES if arguments.only is None or table.key in arguments.only]
    compile_sources(ROOT)
    with tempfile.TemporaryDirectory(prefix="modelkeep-benches-", dir=arguments.scratch) as scratch:
        os.environ["MODELKEEP_STATE"] = str(Path(scratch, "state"))
        settings = Settings(arguments.rounds, arguments.seed, arguments.cold, Path(scratch), _say)
        facts, busyness = machine.facts(settings.scratch), machine.Busyness()
        results = [result for table in tables for result in _measure(table, arguments.sizes, settings)]
        counts = [] if arguments.only else instructions.count_all(settings)
    others = busyness.others()
    page = report.document(results, facts, others, settings)
    if counts:
        page += f"\n{instructions.section(counts)}"
    page += f"\n{REASONS.read_text()}"
    _write(arguments, page, chart.draw(results))
    if arguments.output is None and arguments.only is None and not arguments.cold:
        README.write_text(readme.replaced(README.read_text(), readme.figures(results, others)))


def _measure(table: Table, sizes: list[int], settings: Settings) -> list[Result]:
    results = []
    for work in sizes if table.work is None else [table.work]:
        _say(f"{table.key} {size_label(work) if table.work is None else ''}".strip())
        results.append(run_table(table, work, settings))
        print(report.section(results[-1]), flush=True)
    return results


def _write(arguments: argparse.Namespace, page: str, picture: str | None) -> None:
    if arguments.output is None and arguments.only is not None:
        _say("docs/benchmarks.md is written only when all tables are measured; --output FILE writes these")
        return
    target = arguments.output or DOCUMENT
    target.write_text(page)
    if picture is not None:
        target.with_suffix(".svg").write_text(picture)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--sizes", type=sizes, default="4MB,100MB,1GB", help="model sizes (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="samples per row (%(default)s)")
    parser.add_argument("--only", type=_keys, help=f"some of {','.join(table.key for table in TABLES)}")
    parser.add_argument("--cold", action="store_true", help="start with input files out of the page cache")
    parser.add_argument("--scratch", type=Path, help="write there, for example on a tmpfs: /dev/shm")
    parser.add_argument("--seed", type=int, default=17, help="of the shuffled orders (%(default)s)")
    parser.add_argument("--output", type=Path, help="write the page there instead of docs/benchmarks.md")
    return parser


def _keys(text: str) -> set[str]:
    keys = {word.strip() for word in text.split(",")}
    if unknown := keys - {table.key for table in TABLES}:
        raise argparse.ArgumentTypeError(f"no such table: {', '.join(sorted(unknown))}")
    return keys


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
