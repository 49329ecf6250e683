"""The commands, and the parser that knows their names; their options are in `modelkeep.cli.options`."""

from __future__ import annotations

import argparse
import importlib

from modelkeep._version import __version__
from modelkeep.cli.base_parser import BaseParser
from modelkeep.cli.examples import examples_of
from modelkeep.cli.options.shared import add_json, sentence

# Set as `typing` would: what every command imports is kept cheap.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

COMMANDS = {
    "keys": "make keys and look after them, in files, TPMs, tokens and keyrings",
    "learn": "learn what inputs of a model usually look like",
    "golden": "record what a model makes of known inputs, to be tried on devices",
    "seal": "seal a model into a bundle",
    "inspect": "say what a bundle says of itself, with a key also what its model takes; proves nothing",
    "verify": "check a bundle, or a plain file against its signature",
    "grant": "give a sealed model to more devices",
    "enrol": "make the request with which this device asks to be granted models",
    "roster": "say which devices may have which models, and sign that",
    "granter": "answer requests by roster and evidence; keep and check a journal of it",
    "verity": "sign and check the digests by which a kernel checks images and files",
    "sign": "sign a plain file as `openssl dgst -sha256 -sign` does",
    "install": "verify a bundle once and keep it for this device alone",
    "slots": "make room for two releases of a model, of which one counts",
    "trial": "try the release that waits in a slot; if it passes it counts, else what counted goes on",
    "update": "follow a repository: fetch the release that is this device's, try it, let it count",
    "status": "say what is installed on this device, and how far it has come",
    "renew": "move the end of what is installed to that of a newer grant",
    "run": "open a bundle in memory and run the model once",
    "serve": "answer Frigate with a sealed model",
    "extract": "decrypt a bundle to disk, which ends its protection",
    "import": "seal a model from a file of the form nonce | ciphertext | tag",
    "guard": "see how well a guard does",
    "state": "show what this device remembers; let go of something with a ticket",
    "repo": "make a repository of releases, and publish into it what devices then take",
    "trust": "make, sign and show trust files: who may sign which models",
    "posture": "say what this device finds out about itself; ask devices, and judge what they prove",
    "evidence": "say what was verified here, and which requirements of standards that bears on",
    "doctor": "say which key stores this device has, and how to get better ones",
}
_EPILOG = """\
exit codes:
  0 done, 2 usage, 3 refused, 4 not for this device, 5 malformed or too new,
  6 unavailable, 130 interrupted

`modelkeep COMMAND --help` shows examples."""
# A module cannot be named like the keyword.
_MODULES = {"import": "import_file"}


class _CommandParser(BaseParser):
    """The parser of one command, which gets its options when it is to parse something."""

    def __init__(self, *, command: str, **details: Any) -> None:
        super().__init__(**details)
        self._command: str | None = command

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses, with the command's options."""
        self.complete()
        return super().parse_known_args(args, namespace)

    def complete(self) -> None:
        """Adds the command's options, once."""
        if self._command is None:
            return
        name, self._command = self._command, None
        module = importlib.import_module(f"modelkeep.cli.options.{_MODULES.get(name, name)}")
        module.add(self)
        self.epilog = examples_of(name)
        if not self._is_a_group:
            add_json(self)

    @property
    def _is_a_group(self) -> bool:
        """Whether nothing happens without a command of the command."""
        groups = [] if self._subparsers is None else self._subparsers._group_actions
        return any(group.required for group in groups)


def complete_parser() -> argparse.ArgumentParser:
    """Returns the parser with the options of every command: for manual pages and completions."""
    parser = build_parser()
    commands: dict[str, _CommandParser] = parser._subparsers._group_actions[0].choices  # type: ignore[union-attr,assignment]
    for command in commands.values():
        command.complete()
    return parser


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser; `parsed.command(parsed)` runs what was asked for."""
    parser = BaseParser(
        prog="modelkeep",
        description="Seal machine-learning models, grant them to devices, open them only in memory.",
        epilog=_EPILOG,
    )
    parser.add_argument("-V", "--version", action="version", version=f"modelkeep {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_CommandParser
    )
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, command=name, help=summary, description=sentence(summary))
        command.set_defaults(command=_lazily(name))
    return parser


def _lazily(name: str) -> Callable[[argparse.Namespace], None]:
    def call(arguments: argparse.Namespace) -> None:
        importlib.import_module(f"modelkeep.cli.{name}_command").run(arguments)

    return call
