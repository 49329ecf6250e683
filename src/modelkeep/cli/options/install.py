"""The options of `modelkeep install`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_any_model, add_key_options, add_trust_options
from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "bundle", metavar="SOURCE", help="the bundle: a file, a folder, an address, or - for standard input"
    )
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    add_any_model(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="installation to write, or folder of slots"
    )
    add_force(parser)
