"""The options of `modelkeep keygen`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--signing", action="store_true", help="a publisher's key for signing bundles")
    kind.add_argument(
        "--plain", action="store_true", help="a key for signing plain files with `modelkeep sign`"
    )
    kind.add_argument(
        "--kem", choices=["p256", "x25519", "mlkem768-x25519"], help="kind of device key (default: p256)"
    )
    parser.add_argument(
        "--curve",
        choices=["p256", "p384", "p521"],
        default="p256",
        help="curve of a signing key (default: p256)",
    )
    parser.add_argument(
        "--algorithm",
        choices=["ecdsa", "ml-dsa-65"],
        default="ecdsa",
        help="ml-dsa-65: a --signing key for second signatures (default: ecdsa)",
    )
    parser.add_argument(
        "--master", metavar="FILE", help="fleet master that a fleet: device key is derived from"
    )
    parser.add_argument("--device-id", metavar="ID", help="name of the device (default: the file's name)")
    add_force(parser)
    parser.add_argument("key", metavar="KEY", help="file:PATH, fleet:PATH, or PATH")
