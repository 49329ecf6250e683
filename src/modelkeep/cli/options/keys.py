"""The options of `modelkeep keys` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options
from modelkeep.cli.options.shared import add_action, add_actions, add_force

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = add_actions(parser)
    for add_command in (_list, _create, _show, _rotate, _approve, _attest, _delete, _id):
        add_command(actions)


def _list(actions: Any) -> None:
    parser = add_action(actions, "list", "name the keys of a place")
    parser.add_argument(
        "places",
        metavar="PLACE",
        nargs="*",
        default=["file:."],
        help="file:FOLDER, tpm2:FOLDER or pkcs11:token=NAME (default: file:.)",
    )


def _create(actions: Any) -> None:
    parser = add_action(actions, "create", "make a key; its public part goes to standard output")
    _key(parser)
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help="what the key is for. To open models: p256 (default), x25519, mlkem768-x25519; of a fleet: "
        "master, device. To sign bundles: signing, signing-p384, signing-p521, ml-dsa-65 (second signature). "
        "To sign trust files: root, root-p384, root-p521; rosters: operator, operator-p384, operator-p521. "
        "For roles of repositories: channel, channel-p384, channel-p521. "
        "To sign plain files: plain, plain-p384, "
        "plain-p521. To approve PCR values: approving. TPM: quote",
    )
    parser.add_argument(
        "--master", metavar="FILE", help="fleet master that a fleet: device key is derived from"
    )
    parser.add_argument("--device-id", metavar="ID", help="name of the device (default: the key's name)")
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing key")


def _show(actions: Any) -> None:
    parser = add_action(actions, "show", "say what is public about a key")
    _key(parser)


def _rotate(actions: Any) -> None:
    parser = add_action(
        actions, "rotate", "make a new key that takes the place of an old one; delete that later"
    )
    parser.add_argument("key", metavar="OLD", help="the key in use")
    parser.add_argument("new", metavar="NEW", help="where the new key goes")
    parser.add_argument(
        "bundles", metavar="BUNDLE", nargs="*", help="grant these to the new key, where the old one may grant"
    )
    add_trust_options(parser)


def _approve(actions: Any) -> None:
    parser = add_action(actions, "approve", "let a key in the TPM work in another state of the device")
    parser.add_argument("key", metavar="KEY", nargs="?", help="tpm2:PATH; without it, -o takes the approval")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("-s", "--signer", metavar="KEY", help="the authority that the key was created with")
    how.add_argument("--approval", metavar="FILE", help="an approval that the authority made")
    parser.add_argument("--values", metavar="FILE", help="PCR values to approve (default: those of now)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the approval of --values to this file")


def _attest(actions: Any) -> None:
    parser = add_action(actions, "attest", "make the evidence that whoever grants to a key can judge")
    parser.add_argument("key", metavar="KEY", help="tpm2:PATH; others can only say what they are")
    parser.add_argument(
        "--challenge", metavar="FILE", help="answer this question (default: introduce the device)"
    )
    parser.add_argument(
        "--unapproved",
        action="store_true",
        help="the key's policy is not met: show the state, for somebody to approve it",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="evidence to write")
    add_force(parser)


def _delete(actions: Any) -> None:
    parser = add_action(actions, "delete", "delete a key: what was granted to it never opens again")
    _key(parser)
    parser.add_argument("--yes", action="store_true", help="yes, delete it")


def _id(actions: Any) -> None:
    parser = add_action(actions, "id", "say by which id keys find their grant in a bundle, and who has none")
    parser.add_argument(
        "recipients", metavar="PUB", nargs="+", help="public line, a file of such lines, or a key's URI"
    )
    parser.add_argument("--bundle", metavar="BUNDLE", required=True, help="the bundle with its grants")
    parser.add_argument("--grant", metavar="FILE", help="look into this file of grants instead")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="file:PATH, tpm2:PATH, pkcs11:..., keyring:NAME, ...")
