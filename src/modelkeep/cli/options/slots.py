"""The options of `modelkeep slots` and of its commands."""

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
    for add_command in (_init, _withdraw):
        add_command(actions)


def _init(actions: Any) -> None:
    parser = add_action(actions, "init", "make a folder with two empty slots for a model")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--model-id", metavar="ID", required=True, help="whose releases it takes")


def _withdraw(actions: Any) -> None:
    parser = add_action(actions, "withdraw", "let go of what waits for its trial; it may come again")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("-k", "--key", metavar="KEY", required=True, help="key of this device")
    add_trust_options(parser)
