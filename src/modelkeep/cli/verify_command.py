"""`modelkeep verify`: check a bundle, or a plain file against its signature."""

from __future__ import annotations

import argparse

from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.output import human_size, print_json, progress, say
from modelkeep.errors import UsageError
from modelkeep.storage import read_small
from modelkeep.trust import plain

_LARGEST_SIGNATURE = 2**16
_LARGEST_PEM = 2**20


def run(arguments: argparse.Namespace) -> None:
    """Checks everything that can be checked without a device's key."""
    if arguments.signature is not None:
        _plain_file(arguments)
        return
    verifier = options.verifier(arguments)
    with Bundle(arguments.file) as bundle:
        verified = bundle.verify(verifier)
        size = sum(bundle.sizes.values())
        with progress("verifying", size) as advance:
            verified.check_digests(advance)
    manifest = verified.manifest
    options.say_which_model(arguments, manifest.model)
    signer = None if verified.signer is None else str(verified.signer)
    say(f"ok: {manifest.model} epoch {manifest.epoch}, {human_size(size)}, signed by {signer or 'nobody'}")
    if arguments.json:
        print_json(
            {
                "bundle": manifest.bundle.hex(),
                "epoch": manifest.epoch,
                "model": manifest.model,
                "release": manifest.release,
                "signer": signer,
            }
        )


def _plain_file(arguments: argparse.Namespace) -> None:
    if len(arguments.trust) != 1 or arguments.unsafe_unsigned or arguments.second_trust:
        raise UsageError("a plain signature is checked against one public key", hint="pass -t KEY.pub once")
    signature = read_small(arguments.signature, _LARGEST_SIGNATURE, "a signature")
    public_key = read_small(arguments.trust[0], _LARGEST_PEM, "a public key")
    plain.verify(arguments.file, signature, public_key)
    say(f"ok: {arguments.file}")
    if arguments.json:
        print_json({"file": arguments.file, "verified": True})
