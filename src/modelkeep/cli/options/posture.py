"""The options of `modelkeep posture` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.base_parser import BaseParser
from modelkeep.cli.options.shared import add_action, add_force

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ONLY_DEVICE = ""


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands, and the options for none of them."""
    parser.add_argument("--model", metavar="FILE", help="look at the device that this file lies on, too")
    parser.add_argument(
        "--verity-root", metavar="HASH", help="the dm-verity root hash that this device must have"
    )
    parser.add_argument(
        "--adb",
        metavar="SERIAL",
        nargs="?",
        const=ONLY_DEVICE,
        help="ask an Android device over adb instead of this one",
    )
    actions = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="action", parser_class=BaseParser
    )
    for add_command in (_ask, _judge, _key_policy):
        add_command(actions)


def _ask(actions: Any) -> None:
    parser = add_action(actions, "ask", "make a question to a device, which it answers once")
    parser.add_argument(
        "introduction",
        metavar="EVIDENCE",
        nargs="?",
        help="how a device with a TPM introduced itself; leave it out for Android",
    )
    parser.add_argument("--origin", metavar="NAME", required=True, help="who asks; signed with every answer")
    _makers(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the question, for the device")
    parser.add_argument(
        "--keep", metavar="FILE", required=True, help="what the answer is held against; never leaves you"
    )
    add_force(parser)


def _judge(actions: Any) -> None:
    parser = add_action(actions, "judge", "judge a device's evidence; exit code 3 if it is refused")
    parser.add_argument("evidence", metavar="EVIDENCE", help="what the device answered")
    parser.add_argument(
        "--asked", metavar="FILE", help="what was kept of the question; without it, everything is claimed"
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--policy", metavar="FILE", help="what the device must prove, in TOML")
    how.add_argument(
        "--unsafe-no-policy", action="store_true", help="only say what there is; accepts everything"
    )
    _makers(parser)
    parser.add_argument(
        "--revocations", metavar="FILE", help="Google's list of revoked attestation keys (Android)"
    )


def _key_policy(actions: Any) -> None:
    parser = add_action(actions, "key-policy", "say which policy digest a TPM's key has to carry")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--authority", metavar="PEM", help="the key that approves PCR values")
    how.add_argument("--values", metavar="FILE", help="PCR values that the key is bound to, in JSON")
    parser.add_argument("--passphrase", action="store_true", help="the key has a passphrase besides")


def _makers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tpm-maker",
        metavar="PEM",
        action="append",
        default=[],
        help="certificates of a TPM maker that is believed",
    )
