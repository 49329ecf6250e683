"""The options of `modelkeep enrol`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "-k", "--key", metavar="KEY", required=True, help="key of this device: file:PATH, tpm2:PATH, ..."
    )
    parser.add_argument(
        "--model",
        metavar="ID",
        action="append",
        required=True,
        help="model that this device is to open; may be given several times",
    )
    parser.add_argument("--device-id", metavar="ID", help="name of the device (default: the key's name)")
    parser.add_argument("--question", metavar="FILE", help="what the granter asked: answer it")
    parser.add_argument("--origin", metavar="NAME", help="refuse questions of anybody else")
    parser.add_argument(
        "--replaces", metavar="OLD", help="the older key of this device, which this one replaces"
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="request to write")
    add_force(parser)
