"""`modelkeep slots`: folders with room for two releases of a model."""

from __future__ import annotations

import argparse

from modelkeep.bundle.access import Access
from modelkeep.cli import objects as options
from modelkeep.cli.output import report, say
from modelkeep.updates.slots import Slots


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    {"init": _init, "withdraw": _withdraw}[arguments.action](arguments)


def _init(arguments: argparse.Namespace) -> None:
    folder = Slots.init(arguments.folder, arguments.model_id)
    say(f"{folder.path} has two slots for {folder.model}: modelkeep install BUNDLE -o {folder.path}")
    report(arguments, path=str(folder.path), model=folder.model)


def _withdraw(arguments: argparse.Namespace) -> None:
    with Access(arguments.key, options.verifier(arguments)) as access:
        slots = Slots.open(arguments.folder, access)
        with slots.exclusively():
            withdrawn = slots.withdraw()
    nothing = "nothing waits for a trial there: nothing was withdrawn"
    say("withdrawn: what counts goes on counting" if withdrawn else nothing)
    report(arguments, path=arguments.folder, withdrawn=withdrawn)
