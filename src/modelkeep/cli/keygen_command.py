"""`modelkeep keygen`: make a key; its public form goes to standard output."""

from __future__ import annotations

import argparse
import sys

from modelkeep.cli import objects as options
from modelkeep.cli.output import say
from modelkeep.errors import UsageError
from modelkeep.grants.hpke import HpkeRecipient
from modelkeep.grants.recipient_text import format_recipient
from modelkeep.keys import fleet
from modelkeep.keys.registry import create_key
from modelkeep.trust.private_key import Purpose
from modelkeep.trust.second_signature import keygen_second
from modelkeep.trust.signer import keygen_signing
from modelkeep.uri import split


def run(arguments: argparse.Namespace) -> None:
    """Makes the key that the arguments ask for."""
    if arguments.master is not None and split(arguments.key)[0] != "fleet":
        raise UsageError("--master goes with a fleet: key")
    if arguments.algorithm != "ecdsa" and not (arguments.signing or arguments.plain):
        raise UsageError("--algorithm goes with a signing key", hint="pass --signing as well")
    if arguments.signing or arguments.plain:
        _signing_key(arguments)
    elif split(arguments.key)[0] == "fleet":
        _fleet_key(arguments)
    else:
        _device_key(arguments)


def _signing_key(arguments: argparse.Namespace) -> None:
    if arguments.algorithm == "ml-dsa-65":
        _second_key(arguments)
        return
    purpose = Purpose.BUNDLE if arguments.signing else Purpose.PLAIN
    path = options.key_file(arguments.key)
    pem = keygen_signing(path, arguments.curve, purpose=purpose, force=arguments.force)
    sys.stdout.write(pem.decode())
    say(f"private key in {path}: keep it off every device")


def _second_key(arguments: argparse.Namespace) -> None:
    if arguments.plain:
        raise UsageError("plain files are signed with elliptic-curve keys", hint="leave --algorithm out")
    path = options.key_file(arguments.key)
    sys.stdout.write(keygen_second(path, force=arguments.force).decode())
    say(f"private key in {path}: keep it off every device, and away from the first signer's key")


def _fleet_key(arguments: argparse.Namespace) -> None:
    path = split(arguments.key)[1]
    if arguments.master is None:
        fleet.create_master(path, force=arguments.force)
        say(f"fleet master in {path}: keep it off every device")
        return
    if arguments.device_id is None:
        raise UsageError("a fleet key is made for one device", hint="pass --device-id ID")
    fleet.create_device(path, arguments.master, arguments.device_id, force=arguments.force)
    say(f"key of device {arguments.device_id} in {path}: move it there, and nothing else of the fleet's")


def _device_key(arguments: argparse.Namespace) -> None:
    recipient = create_key(arguments.key, arguments.kem, force=arguments.force)
    if not isinstance(recipient, HpkeRecipient):
        say(f"key made: {arguments.key}")
        return
    if arguments.device_id is not None:
        recipient = HpkeRecipient(recipient.type, recipient.public, arguments.device_id)
    print(format_recipient(recipient))
    say(f"private key made: {arguments.key}")
