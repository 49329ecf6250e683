"""The options of `modelkeep trial`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_isolation, add_trust_options
from modelkeep.cli.options.shared import add_json


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="FOLDER", help="folder of slots")
    parser.add_argument("-k", "--key", metavar="KEY", required=True, help="key of this device")
    add_trust_options(parser)
    add_isolation(parser)
    parser.add_argument("--runtime", metavar="NAME", help="which runtime, where several could run the model")
    parser.add_argument(
        "--again",
        action="store_true",
        help="begin to count anew what was postponed, interrupted or damaged too often",
    )
    add_json(parser)
