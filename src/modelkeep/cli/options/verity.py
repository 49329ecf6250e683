"""The options of `modelkeep verity` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.publishing import add_signer
from modelkeep.cli.options.shared import add_action, add_actions, add_force

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = add_actions(parser)
    _format(actions)
    _verify(actions)


def _format(actions: Any) -> None:
    parser = add_action(actions, "format", "sign the digests by which a kernel checks a file or image")
    parser.add_argument("file", metavar="FILE", help="bundle, or image of a file system")
    add_signer(parser, unsigned=False)
    parser.add_argument("--salt", metavar="HEX", help="salt of dm-verity (default: 32 random bytes)")
    parser.add_argument("--uuid", metavar="UUID", help="name of the hash area (default: a random one)")
    add_force(parser)


def _verify(actions: Any) -> None:
    parser = add_action(actions, "verify", "check a file or image against the signed digests")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "-t", "--trust", metavar="PEM", action="append", required=True, help="public key of the publisher"
    )
