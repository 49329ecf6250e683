"""The options of `modelkeep learn`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.shared import add_force, add_samples


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_samples(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="guard profile to write")
    add_force(parser)
    parser.add_argument("--labels", metavar="NAME", help="array of true classes in the files; left out")
    parser.add_argument(
        "--alpha", type=float, default=0.01, help="highest rate of false alarms of each stage (default: 0.01)"
    )
    parser.add_argument(
        "--delta", type=float, default=0.05, help="chance that it is exceeded all the same (default: 0.05)"
    )
    parser.add_argument(
        "--layout", metavar="NAME=AXES", action="append", default=[], help="axes of an input: NCHW, NTC, ..."
    )
    parser.add_argument(
        "--names",
        metavar="NAME=A,B,...",
        action="append",
        default=[],
        help="what people call the columns or channels of an input",
    )
    parser.add_argument(
        "--outer",
        type=float,
        metavar="N",
        help="let sites adapt, up to inputs N times as surprising as the threshold",
    )
    parser.add_argument("--embedding", metavar="OUTPUT", help="output that shows what the last layer sees")
    parser.add_argument(
        "--squeeze",
        metavar="HOW",
        action="append",
        default=[],
        help="run the model again on squeezed inputs: mean, median, depth-4 or depth-5",
    )
    parser.add_argument(
        "--rule",
        metavar="RULE",
        action="append",
        help="of the stage model: margin, confidence, energy, distance (default: margin, and distance "
        "with --embedding)",
    )
    parser.add_argument(
        "--action", metavar="STAGE=WHAT", action="append", default=[], help="reject, flag or off; signal=flag"
    )
