"""`python -m benches`: measures everything side by side and writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from benches import machine, report
from benches.runner import PRIMED_COPIES, Settings, run_table
from benches.tables import TABLES, Table

DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def main() -> None:
    """Runs the tables that the command line asks for."""
    arguments = _parser().parse_args()
    tables = [table for table in TABLES if arguments.only is None or table.key in arguments.only]
    with tempfile.TemporaryDirectory(prefix="modelkeep-benches-") as scratch:
        settings = Settings(arguments.rounds, arguments.seed, arguments.cold, Path(scratch), _say)
        facts, busyness = machine.facts(settings.scratch), machine.Busyness()
        sections = [
            text for table in tables for text in _measure(table, table.work, arguments.sizes, settings)
        ]
    words = {
        "rounds": arguments.rounds,
        "seed": arguments.seed,
        "copies": PRIMED_COPIES,
        "temperature": "pushes its input files out of the page cache"
        if arguments.cold
        else "reads its input files into the page cache",
    }
    _write(arguments, report.document(sections, facts, busyness.others(), words))


def _measure(table: Table, work: int | None, sizes: list[int], settings: Settings) -> list[str]:
    sections = []
    for size in sizes if work is None else [work]:
        _say(f"{table.key} {report.size_label(size) if work is None else ''}".strip())
        sections.append(report.section(table, size, run_table(table, size, settings)))
        print(sections[-1], flush=True)
    return sections


def _write(arguments: argparse.Namespace, text: str) -> None:
    if arguments.output is not None:
        arguments.output.write_text(text)
    elif arguments.only is None:
        DOCUMENT.write_text(text)
    else:
        _say("docs/benchmarks.md is written only when all tables are measured; --output FILE writes these")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--sizes", type=_sizes, default="4MB,100MB,1GB", help="model sizes (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="samples per row (%(default)s)")
    parser.add_argument("--only", type=_keys, help=f"some of {','.join(table.key for table in TABLES)}")
    parser.add_argument("--cold", action="store_true", help="start with input files out of the page cache")
    parser.add_argument("--seed", type=int, default=17, help="of the shuffled orders (%(default)s)")
    parser.add_argument("--output", type=Path, help="write the page there instead of docs/benchmarks.md")
    return parser


def _sizes(text: str) -> list[int]:
    sizes = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d+)(KB|MB|GB)", word.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"not a size: {word!r} (write 4MB or 1GB)")
        sizes.append(int(match[1]) * _UNITS[match[2]])
    return sizes


def _keys(text: str) -> set[str]:
    keys = {word.strip() for word in text.split(",")}
    if unknown := keys - {table.key for table in TABLES}:
        raise argparse.ArgumentTypeError(f"no such table: {', '.join(sorted(unknown))}")
    return keys


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
