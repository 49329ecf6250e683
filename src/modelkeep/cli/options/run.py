"""The options of `modelkeep run`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_isolation, add_key_options, add_trust_options
from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    parser.add_argument(
        "-i",
        "--input",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="an input, as .npy; or one .npz",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the outputs to this .npz")
    add_force(parser)
    parser.add_argument(
        "--entry", metavar="PATH[#FUNCTION]", help="which of the model's entries, where it has several"
    )
    parser.add_argument("--runtime", metavar="NAME", help="which runtime, where several could run the model")
    add_isolation(parser)
