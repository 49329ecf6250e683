"""The options of `modelkeep status`."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("path", metavar="PATH", help="folder of slots, or installation")
    parser.add_argument("-k", "--key", metavar="KEY", required=True, help="key of this device")
