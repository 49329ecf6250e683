"""The options of `modelkeep granter` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options
from modelkeep.cli.options.shared import add_action, add_force

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands, and the options for none of them."""
    parser.add_argument("--requests", metavar="DIR", help="folder that devices put requests into")
    parser.add_argument("--grants", metavar="DIR", help="folder that grants and questions go into")
    parser.add_argument("--policy", metavar="FILE", help="what the granter goes by, in TOML")
    parser.add_argument(
        "-k", "--key", metavar="KEY", help="administrator's key, which may grant: file:PATH, pkcs11:..."
    )
    parser.add_argument("--grant-signer", metavar="KEY", help="key that signs the grants")
    add_trust_options(parser)
    actions = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="action", parser_class=argparse.ArgumentParser
    )
    for add_command in (_waiting, _allow, _ask, _audit):
        add_command(actions)


def _waiting(actions: Any) -> None:
    parser = add_action(actions, "waiting", "say which grants wait for a person")
    _policy(parser)


def _allow(actions: Any) -> None:
    parser = add_action(actions, "allow", "allow grants that wait; the next run gives them")
    _policy(parser)
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="device, as the roster calls it, or the digest of its key"
    )
    parser.add_argument("--all", action="store_true", help="allow all that wait")


def _ask(actions: Any) -> None:
    parser = add_action(actions, "ask", "make a question to a key that is still to be made, as on Android")
    _policy(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the question, for the device")
    add_force(parser)


def _audit(actions: Any) -> None:
    parser = add_action(actions, "audit", "check that no line of the journal was changed or is missing")
    parser.add_argument("journal", metavar="JOURNAL", help="the journal, or the folder that it is in")
    parser.add_argument(
        "--head",
        metavar="FILE",
        action="append",
        default=[],
        help="signed end of the journal, however old, that it has to hold",
    )
    parser.add_argument(
        "--signer",
        metavar="PEM",
        action="append",
        default=[],
        help="public key that signs grants and heads",
    )
    parser.add_argument(
        "--answers", metavar="DIR", help="folder of grants: each that was signed has to be in the journal"
    )
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        action="append",
        default=[],
        help="bundle that is granted: the grants that it brought along need no line",
    )


def _policy(parser: argparse.ArgumentParser) -> None:
    # Not put in place of what stood before the command, where it was given there.
    parser.add_argument("--policy", metavar="FILE", default=argparse.SUPPRESS, help="the granter's policy")
