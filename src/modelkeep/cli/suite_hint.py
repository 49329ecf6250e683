"""Which suite a device decrypts faster: its word beside its public key, and what sealing says of it."""

from __future__ import annotations

import argparse

from modelkeep.cli.output import counted, say
from modelkeep.keys.recipients import comments_in
from modelkeep.manifest import Suite
from modelkeep.payload.fastest_suite import fastest_suite

# Source: spec/grant-v1.md, section 8.
COMMENT = "# suite: chacha"


def wish() -> str:
    """Returns what to print after the public key of this device: the comment, or nothing."""
    return f"{COMMENT}\n" if fastest_suite() is Suite.CHACHA20_POLY1305_HKDF_1MB else ""


def advise_suite(arguments: argparse.Namespace) -> None:
    """Says how many lists of recipients ask for another suite, unless one was chosen."""
    if arguments.suite is not None:
        return
    asking = sum(COMMENT in comments_in(spec) for spec in [*arguments.recipient, *arguments.admin])
    if asking:
        say(
            f"note: {counted(asking, 'list')} of recipients with devices that decrypt chacha faster: "
            "--suite chacha; with --suite aes, nothing is said"
        )
