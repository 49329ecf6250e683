"""Options of commands that grant: to whom, and until when."""

from __future__ import annotations

import argparse


def add_recipients(parser: argparse.ArgumentParser) -> None:
    """Adds who may open, and who may grant."""
    parser.add_argument(
        "-r",
        "--recipient",
        metavar="PUB",
        action="append",
        default=[],
        help="public key file or line; may open",
    )
    parser.add_argument(
        "--admin", metavar="PUB", action="append", default=[], help="like -r, and may grant it to others"
    )


def add_constraints(parser: argparse.ArgumentParser) -> None:
    """Adds what new grants demand."""
    parser.add_argument("--not-before", metavar="WHEN", help="grants count from then on: 2027-01-31, or +2d")
    parser.add_argument("--not-after", metavar="WHEN", help="grants count until then: 2027-01-31, or +90d")
    parser.add_argument(
        "--posture",
        metavar="NAME",
        action="append",
        default=[],
        help="posture that a grant demands",
    )
