"""The options of `modelkeep verify`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options
from modelkeep.cli.options.shared import add_json


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "file", metavar="FILE", help="bundle (- reads standard input), or any file with --signature"
    )
    add_trust_options(parser)
    parser.add_argument(
        "--signature", metavar="FILE", help="plain mode: a signature as `openssl dgst -sha256 -sign` makes it"
    )
    parser.add_argument(
        "--apple",
        action="store_true",
        help="FILE is Mach-O code, a bundle of Apple's platforms, or a model within one",
    )
    parser.add_argument("--team", metavar="ID", help="with --apple: the team that must have signed")
    add_json(parser)
