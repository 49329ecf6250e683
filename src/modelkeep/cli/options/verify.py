"""The options of `modelkeep verify`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.opening import add_trust_options


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "file", metavar="FILE", help="bundle (- reads standard input); with --signature any file or folder"
    )
    add_trust_options(parser)
    parser.add_argument("-k", "--key", metavar="KEY", help="key of this device, for what it installed")
    parser.add_argument(
        "--signature",
        metavar="FILE",
        help="of a folder: of OpenSSF Model Signing; of a file: as `openssl dgst -sha256 -sign` makes it",
    )
    parser.add_argument(
        "--ignore",
        metavar="NAME",
        action="append",
        default=[],
        help="with --signature of a folder: this file or folder in it need not be signed",
    )
    parser.add_argument(
        "--identity", metavar="WHO", help="with --signature: a Sigstore identity, mail address or workflow"
    )
    parser.add_argument("--issuer", metavar="URL", help="who vouched for that identity")
    parser.add_argument(
        "--sigstore-root", metavar="FILE", help="Sigstore's trusted root, which is pinned; nothing is fetched"
    )
    parser.add_argument(
        "--apple",
        action="store_true",
        help="FILE is Mach-O code, a bundle of Apple's platforms, or a model within one",
    )
    parser.add_argument("--team", metavar="ID", help="with --apple: the team that must have signed")
