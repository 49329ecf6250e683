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
    add_json(parser)
