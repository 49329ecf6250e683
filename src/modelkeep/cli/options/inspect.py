"""The options of `modelkeep inspect`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_key_options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "key of a device, to see what the model takes", required=False)
