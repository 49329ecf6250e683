"""The options of `modelkeep doctor`."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--fips",
        action="store_true",
        help="say whether libraries here compute as FIPS 140 asks, and what with",
    )
