"""The options of `modelkeep seal`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.publishing import add_model_signature, add_recipients, add_seal_labels, add_signer
from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="model file, folder with all files of the model, or - for standard input",
    )
    parser.add_argument("--name", metavar="NAME", help="the model's file name, with MODEL -")
    add_recipients(parser)
    add_signer(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="bundle to write (default: MODEL.keep, its ending included)"
    )
    add_force(parser)
    add_seal_labels(parser)
    parser.add_argument("--contract", metavar="FILE", help="JSON with tighter bounds for the model's inputs")
    parser.add_argument("--guard", metavar="FILE", help="guard profile that `modelkeep learn` made")
    parser.add_argument("--golden", metavar="FILE", help="golden vectors that `modelkeep golden` made")
    parser.add_argument(
        "--golden-limits", metavar="FILE", help="JSON: tolerances, latency and ranges of golden vectors"
    )
    parser.add_argument(
        "--require-signature",
        metavar="FILE",
        help="signature of OpenSSF Model Signing that MODEL must have; the bundle then tells whose it was",
    )
    parser.add_argument(
        "--upstream",
        metavar="PEM",
        action="append",
        default=[],
        help="with --require-signature: public key or root certificate of whoever must have signed",
    )
    parser.add_argument(
        "--upstream-subject",
        metavar="KIND=NAME",
        help="whose certificate under it, as --subject of verify",
    )
    add_model_signature(parser, "--require-signature")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sealed, write nothing")
