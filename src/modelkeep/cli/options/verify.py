"""The options of `modelkeep verify`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options
from modelkeep.cli.options.publishing import add_model_signature


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "file", metavar="FILE", help="bundle (- reads standard input); with --signature any file or folder"
    )
    add_trust_options(parser)
    parser.add_argument("-k", "--key", metavar="KEY", help="key of this device, for what it installed")
    parser.add_argument(
        "--signature",
        metavar="FILE",
        help="of a folder: of OpenSSF Model Signing; of a file: as `openssl dgst -sha256 -sign` makes it",
    )
    add_model_signature(parser, "--signature")
    parser.add_argument(
        "--apple",
        action="store_true",
        help="FILE is Mach-O code, a bundle of Apple's platforms, or a model within one",
    )
    parser.add_argument("--team", metavar="ID", help="with --apple: the team that must have signed")
