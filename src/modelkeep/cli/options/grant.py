"""The options of `modelkeep grant`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_key_options, add_trust_options
from modelkeep.cli.options.publishing import add_constraints, add_recipients


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "somebody who may grant: sealed or granted to as --admin")
    add_recipients(parser)
    add_constraints(parser)
    add_trust_options(parser)
    parser.add_argument("--recipients", metavar="FILE", help="a whole fleet: a list of devices, one a line")
    parser.add_argument("--with-admins", action="store_true", help="the list may name some who may grant")
    parser.add_argument("--grant-signer", metavar="KEY", help="sign the new grants with this key")
    parser.add_argument("-o", "--output", metavar="FILE", help="append to this file (default: BUNDLE.grants)")
