"""The options of `modelkeep guard` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.base_parser import BaseParser
from modelkeep.cli.options.opening import add_isolation, add_key_options, add_trust_options
from modelkeep.cli.options.shared import add_action, sentence

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class IntermixedParser(BaseParser):
    """Takes words that belong together though options stand between them: `BUNDLE -k KEY SAMPLE`."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Does what `parse_known_intermixed_args` does, which calls this again for its parts."""
        if self._is_inside:
            return argparse.ArgumentParser.parse_known_args(self, args, namespace)
        self._is_inside = True
        try:
            return self.all_known(self.parse_known_intermixed_args(args, namespace))
        finally:
            self._is_inside = False


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="action", parser_class=IntermixedParser
    )
    _add_report(actions)
    summary = "say what the guard of a device counted, or those of many together"
    status = add_action(actions, "status", summary)
    status.add_argument(
        "telemetry",
        metavar="FILE",
        nargs="+",
        help="what `guard.telemetry().save` wrote, one for each device",
    )


def _add_report(actions: Any) -> None:
    summary = "measure false alarms, faults, attacks and time; write a page and the same as JSON"
    report = add_action(actions, "report", summary)
    report.description = f"{sentence(summary)} Of a sealed model, or with --model of a plain one."
    report.add_argument("bundle", metavar="BUNDLE", nargs="?", help="sealed model, unless --model is given")
    report.add_argument("samples", metavar="SAMPLE", nargs="+", help=".npz that was not learned from")
    report.add_argument("-o", "--output", metavar="FILE", required=True, help="page to write: report.html")
    report.add_argument("-f", "--force", action="store_true", help="replace existing files")
    report.add_argument("--stacked", action="store_true", help="files hold many samples: cut along axis 0")
    report.add_argument("--input", metavar="NAME", help="whose samples .npy files are")
    report.add_argument(
        "--labels", metavar="NAME", help="array of true classes in each .npz; for .npy samples, a .npy file"
    )
    _add_effort(report)
    sealed = report.add_argument_group("a sealed model")
    add_key_options(sealed, "key of this device", required=False)
    add_trust_options(sealed)
    sealed.add_argument("--runtime", metavar="NAME", help="which runtime, where several could run the model")
    add_isolation(sealed)
    plain = report.add_argument_group("a plain model")
    plain.add_argument("--model", metavar="MODEL", help="file or folder, before it is sealed")
    plain.add_argument("--guard", metavar="FILE", help="profile that `modelkeep learn` made")
    plain.add_argument("--entry", metavar="PATH", help="file within a folder that the runtime loads")


def _share(text: str) -> float:
    """Returns a number that is written as it is or as a fraction."""
    over, _, under = text.partition("/")
    try:
        return float(over) / float(under or 1)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"not a number: {text!r}") from None


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
        type=_share,
        default=8 / 255,
        help="share of the range an attack may change (default: 8/255)",
    )
