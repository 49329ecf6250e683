"""`modelkeep keys id`: by which ids keys find their grants in a bundle, and whether they have one."""

from __future__ import annotations

import argparse
from typing import Any

from modelkeep.bundle.access import grants_of
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli.output import counted, named, print_json, say, show
from modelkeep.errors import NotForThisDeviceError, UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.header import PASSPHRASE
from modelkeep.grants.recipient import Recipient
from modelkeep.grants.recipient_text import short_name
from modelkeep.keys.recipients import load_recipients


def key_ids(arguments: argparse.Namespace) -> None:
    """Says who of the recipients has a grant.

    Raises:
        NotForThisDeviceError: some have none, after all were shown.
        UsageError: a passphrase, which has another id in every grant.
    """
    recipients = [each for spec in arguments.recipients for each in load_recipients(spec)]
    with Bundle(arguments.bundle) as bundle:
        name = bundle.unverified_manifest().bundle
        granted = {(each.header.type, each.header.key_id) for each in grants_of(bundle, arguments.grant)}
    found = [_facts(each, name, granted) for each in recipients]
    _show(arguments, name, found)
    missing = [each["name"] for each in found if not each["granted"]]
    if missing:
        raise NotForThisDeviceError(
            f"{counted(len(missing), 'recipient')} without a grant: {named(missing)}",
            hint=f"modelkeep grant {arguments.bundle} -r ... gives them one",
        )
    say(f"{counted(len(found), 'recipient')}, each with a grant; that it opens, only its key can tell")


def _facts(recipient: Recipient, bundle: bytes, granted: set[tuple[str, bytes]]) -> dict[str, Any]:
    if recipient.type == PASSPHRASE:
        raise UsageError("a passphrase has another id in every grant", hint="name keys of devices")
    header = recipient.header(bundle, Constraints())
    return {
        "name": short_name(recipient),
        "type": header.type,
        "key_id": header.key_id.hex(),
        "granted": (header.type, header.key_id) in granted,
    }


def _show(arguments: argparse.Namespace, bundle: bytes, found: list[dict[str, Any]]) -> None:
    if arguments.json:
        print_json({"path": arguments.bundle, "bundle": bundle.hex(), "keys": found})
        return
    for each in found:
        show(f"{each['key_id']}  {'granted' if each['granted'] else 'no grant':8}  {each['name']}")
