"""The options of `modelkeep renew`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("installation", metavar="INSTALLATION")
    parser.add_argument(
        "-k", "--key", metavar="KEY", required=True, help="key of this device: file:PATH, fleet:PATH, ..."
    )
    parser.add_argument("--grant", metavar="FILE", required=True, help="file with the newer grant")
    add_trust_options(parser)
