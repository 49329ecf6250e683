"""The options of `modelkeep doctor`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.shared import add_json


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_json(parser)
