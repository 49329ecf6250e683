"""The options of `modelkeep extract`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_any_model, add_key_options, add_trust_options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    add_any_model(parser)
    parser.add_argument("--unsafe-plaintext", action="store_true", help="yes, write the model in the clear")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="new folder for the files")
