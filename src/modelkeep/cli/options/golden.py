"""The options of `modelkeep golden`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.shared import add_force, add_model, add_samples


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_samples(parser)
    add_model(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help=".npz of golden vectors")
    add_force(parser)
