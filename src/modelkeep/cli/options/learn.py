"""The options of `modelkeep learn`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_key_options, add_trust_options
from modelkeep.cli.options.shared import add_force, add_model, add_samples


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_samples(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    add_model(which, required=False)
    which.add_argument(
        "--at-site",
        metavar="BUNDLE",
        help="learn what is usual at this site, as far as a sealed model allows",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="guard profile to write")
    add_force(parser)
    parser.add_argument("--labels", metavar="NAME", help="array of true classes in the files; left out")
    parser.add_argument(
        "--alpha", type=float, help="highest rate of false alarms of each stage (default: 0.01)"
    )
    parser.add_argument("--delta", type=float, help="chance that it is exceeded all the same (default: 0.05)")
    parser.add_argument(
        "--layout",
        metavar="NAME=AXES",
        action="append",
        default=[],
        help="axes of an input: NCHW, NTC, ...; or none, which leaves it to the contract",
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
    site = parser.add_argument_group("with --at-site, whose rates are the publisher's by default")
    add_key_options(site, "key of this device", required=False)
    add_trust_options(site)
