"""The options of `modelkeep sign`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.publishing import add_signer
from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("file", metavar="FILE")
    add_signer(parser, unsigned=False)
    parser.add_argument("-o", "--output", metavar="FILE", help="signature to write (default: FILE.sig)")
    add_force(parser)
