"""The options of `modelkeep state` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options
from modelkeep.cli.options.shared import add_action, add_actions

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = add_actions(parser)
    for add_command in (_show, _forget, _retire):
        add_command(actions)


def _show(actions: Any) -> None:
    parser = add_action(actions, "show", "say what this device remembers, and what a ticket for it names")
    _key(parser)


def _forget(actions: Any) -> None:
    parser = add_action(actions, "forget", "let go of what a ticket says, which is good once")
    _key(parser)
    parser.add_argument("--ticket", metavar="FILE", required=True, help="made with `modelkeep trust ticket`")
    add_trust_options(parser)


def _retire(actions: Any) -> None:
    parser = add_action(actions, "retire", "forget all that is installed, before this device is given away")
    _key(parser)
    parser.add_argument("--yes", action="store_true", help="yes, nothing that is installed ever opens again")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-k", "--key", metavar="KEY", required=True, help="key of this device")
