"""The grammar of `modelkeep trust`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_AddCommand = Callable[[Any, str, str], argparse.ArgumentParser]


def add_trust(commands: Any, add_command: _AddCommand) -> None:
    """Adds `trust` with its own commands."""
    parser = add_command(commands, "trust", "make, sign and show trust files: who may sign which models")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")
    for add in (_create, _next, _sign, _show):
        add(actions)


def _create(actions: Any) -> None:
    parser = _action(actions, "create", "make the first trust file, which its roots sign afterwards")
    parser.add_argument(
        "--expires", metavar="WHEN", required=True, help="counts until then: 2027-01-31, or +365d"
    )
    parser.add_argument("--number", metavar="N", type=int, default=1, help="its number (default: 1)")
    _publishers(parser)
    _revoked(parser)
    _output(parser)


def _next(actions: Any) -> None:
    parser = _action(actions, "next", "make the next trust file from the last; its roots sign it afterwards")
    parser.add_argument("file", metavar="LAST", help="the newest trust file there is")
    parser.add_argument("--expires", metavar="WHEN", help="counts until then (default: as the last one)")
    _publishers(parser)
    parser.add_argument(
        "--end",
        metavar="PEM[=WHEN]",
        action="append",
        default=[],
        help="what this publisher seals after WHEN (default: now) does not count",
    )
    _revoked(parser)
    _roots(parser)
    _output(parser)


def _sign(actions: Any) -> None:
    parser = _action(actions, "sign", "show a trust file and add the signature of a root to it")
    parser.add_argument("file", metavar="FILE", help="trust file")
    parser.add_argument(
        "-s",
        "--signer",
        metavar="KEY",
        action="append",
        required=True,
        help="root key: PEM file, tpm2:PATH, pkcs11:..., awskms:...#PEM, ...",
    )
    parser.add_argument(
        "--passphrase-env", metavar="VAR", help="environment variable with the passphrase of the one key"
    )
    parser.add_argument(
        "--since", metavar="LAST", help="show what it says otherwise than this one, which the key has signed"
    )
    parser.add_argument("--yes", action="store_true", help="yes, sign what was shown")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it here (default: into FILE itself)")
    _force(parser)


def _show(actions: Any) -> None:
    parser = _action(actions, "show", "say what a trust file says; with --trust-root, verify it")
    parser.add_argument("file", metavar="FILE", help="trust file")
    parser.add_argument("--since", metavar="LAST", help="show what it says otherwise than this one")
    _roots(parser)
    parser.add_argument(
        "--minimum-trust-number", metavar="N", type=int, default=0, help="refuse older trust files"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def _publishers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--publisher",
        metavar="PEM[=FAMILIES]",
        action="append",
        default=[],
        help="this key may sign these families: a,b (default: every one; of a known key: as before)",
    )
    parser.add_argument("--not-before", metavar="WHEN", help="what these publishers seal counts from then on")
    parser.add_argument("--not-after", metavar="WHEN", help="what these publishers seal counts until then")


def _revoked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--revoke",
        metavar="KEY",
        action="append",
        default=[],
        help="nothing that this key signed counts: PEM file, or fingerprint",
    )
    parser.add_argument(
        "--revoke-bundle",
        metavar="BUNDLE",
        action="append",
        default=[],
        help="this bundle does not count: the bundle, or its id",
    )


def _roots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust-root", metavar="PEM", action="append", default=[], help="key that signs trust files"
    )
    parser.add_argument(
        "--trust-threshold", metavar="N", type=int, default=1, help="how many of them must have signed"
    )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="trust file to write")
    _force(parser)


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def _action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
    )
    return parser
