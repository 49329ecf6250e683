"""The options of `modelkeep evidence`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_isolation, add_key_options, add_trust_options
from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle, or what was installed")
    add_key_options(parser, "key of this device; without one, less is shown", required=False)
    add_trust_options(parser)
    add_isolation(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the page there")
    add_force(parser)
