"""The options of `modelkeep roster` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.agreement import add_agreement
from modelkeep.cli.options.shared import add_action, add_actions, add_force

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What stands for the hardware that a request says the device has.
CLAIMED = "claimed"


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = add_actions(parser)
    for add_command in (_add, _remove, _sign, _show):
        add_command(actions)


def _add(actions: Any) -> None:
    parser = add_action(actions, "add", "put devices into the next roster; operators sign it afterwards")
    _file(parser)
    parser.add_argument(
        "-r",
        "--recipient",
        metavar="PUB",
        action="append",
        default=[],
        help="device: its public line with its name, or a file of such lines",
    )
    parser.add_argument(
        "--request", metavar="FILE", action="append", default=[], help="device: the request that it sent"
    )
    parser.add_argument(
        "--model",
        metavar="ID",
        action="append",
        default=[],
        help="model that these devices may have: acme/detector, acme/* or * (default: what the request says)",
    )
    parser.add_argument("--group", metavar="NAME", help="group of these devices (default: devices)")
    parser.add_argument(
        "--hardware",
        metavar="ID",
        help="hardware that this device must prove: tpm:DIGEST, or `claimed`, as its --request says",
    )
    parser.add_argument("--replace", action="store_true", help="take the place of devices of the same name")
    _expires(parser)
    _output(parser)


def _remove(actions: Any) -> None:
    parser = add_action(
        actions, "remove", "leave devices out of the next roster; operators sign it afterwards"
    )
    _file(parser)
    parser.add_argument("names", metavar="NAME", nargs="+", help="name of a device")
    _expires(parser)
    _output(parser)


def _sign(actions: Any) -> None:
    parser = add_action(actions, "sign", "show a roster and add the signature of an operator to it")
    _file(parser)
    add_agreement(parser, "operator's key")
    _output(parser)


def _show(actions: Any) -> None:
    parser = add_action(actions, "show", "say which devices are in a roster; with --operator, verify it")
    _file(parser)
    parser.add_argument("--since", metavar="LAST", help="show what it says otherwise than this one")
    parser.add_argument(
        "--operator", metavar="PEM", action="append", default=[], help="public key that signs rosters"
    )
    parser.add_argument(
        "--threshold", metavar="N", type=int, default=1, help="how many of them must have signed (default: 1)"
    )


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="roster")


def _expires(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--expires", metavar="WHEN", help="counts until then: 2027-01-31, or +90d (default: as the last one)"
    )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="write it here (default: into FILE itself)")
    add_force(parser)
