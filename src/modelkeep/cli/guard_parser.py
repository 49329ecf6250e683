"""The grammar of `modelkeep guard`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_AddCommand = Callable[[Any, str, str], argparse.ArgumentParser]


def add_guard(commands: Any, add_command: _AddCommand) -> None:
    """Adds `guard` with its own commands."""
    parser = add_command(commands, "guard", "see how well a guard does")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")
    summary = "measure false alarms, faults, attacks and time; write a page and the same as JSON"
    report = actions.add_parser(
        "report", help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
    )
    report.add_argument("samples", metavar="SAMPLE", nargs="+", help=".npz that was not learned from")
    report.add_argument("--model", metavar="MODEL", required=True, help="file or folder, before it is sealed")
    report.add_argument("--guard", metavar="FILE", required=True, help="profile that `modelkeep learn` made")
    report.add_argument("-o", "--output", metavar="FILE", required=True, help="page to write: report.html")
    report.add_argument("-f", "--force", action="store_true", help="replace existing files")
    report.add_argument("--stacked", action="store_true", help="files hold many samples: cut along axis 0")
    report.add_argument("--input", metavar="NAME", help="whose samples .npy files are")
    report.add_argument("--entry", metavar="PATH", help="file within a folder that the runtime loads")
    _add_effort(report)


def _add_effort(report: argparse.ArgumentParser) -> None:
    for name, usual, what in (
        ("faulty", 100, "samples that each fault is tried on"),
        ("attacked", 20, "samples that each attack is tried on"),
        ("tries", 100, "how often an attack may ask about one sample"),
        ("seed", 1, "where chance starts"),
    ):
        report.add_argument(
            f"--{name}", type=int, default=usual, metavar="N", help=f"{what} (default: {usual})"
        )
    report.add_argument(
        "--reach",
        type=float,
        default=8 / 255,
        help="share of the range an attack may change (default: 8/255)",
    )
    report.add_argument("--json", action="store_true", help="print JSON on standard output")
