"""Options of many commands, and what they are added to."""

from __future__ import annotations

import argparse

from modelkeep.cli.base_parser import BaseParser

# Set as `typing` would, which costs a command more than all of its options.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Options(Protocol):
        """A parser, or a group of its options."""

        def add_argument(self, *names: str, **details: Any) -> argparse.Action:
            """Adds an option."""


def add_force(parser: argparse.ArgumentParser) -> None:
    """Adds that existing files may be replaced."""
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Adds calls of a model, as files."""
    parser.add_argument("samples", metavar="SAMPLE", nargs="+", help=".npz with the inputs of one call")
    parser.add_argument("--stacked", action="store_true", help="files hold many samples: cut along axis 0")
    parser.add_argument("--input", metavar="NAME", help="whose samples .npy files are")
    parser.add_argument("--entry", metavar="PATH", help="file within a folder that the runtime loads")


def add_model(parser: Options, *, required: bool = True) -> None:
    """Adds the plain model."""
    parser.add_argument(
        "--model", metavar="MODEL", required=required, help="file or folder, as it will be sealed"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds output for machines; every command has it, and none adds it itself."""
    if "--json" not in parser._option_string_actions:
        parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def add_actions(parser: argparse.ArgumentParser) -> Any:
    """Adds room for the commands of a command."""
    return parser.add_subparsers(
        title="commands",
        metavar="COMMAND",
        required=True,
        dest="action",
        parser_class=BaseParser,
    )


def add_time_authority(parser: Options) -> None:
    """Adds the option that says whose timestamps count."""
    parser.add_argument(
        "--time-authority",
        metavar="PEM",
        action="append",
        default=[],
        help="root certificate of an authority whose timestamps count",
    )


def add_action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    """Adds a command to the commands of a command; returns its parser."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=sentence(summary))
    add_json(parser)
    return parser


def sentence(summary: str) -> str:
    """Returns a summary as a sentence."""
    return f"{summary[0].upper()}{summary[1:]}."
