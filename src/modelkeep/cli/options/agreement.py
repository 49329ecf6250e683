"""The options of commands that sign a document: who signs, and what they agreed to."""

from __future__ import annotations

import argparse

# What `--yes` alone stands for: whatever the file says by now.
YES = "yes"


def add_agreement(parser: argparse.ArgumentParser, whose: str) -> None:
    """Adds who signs and what they agreed to.

    Args:
        parser: gets the options.
        whose: what kind of key signs, in words.
    """
    parser.add_argument(
        "-s",
        "--signer",
        metavar="KEY",
        action="append",
        required=True,
        help=f"{whose}: PEM file, tpm2:PATH, pkcs11:..., awskms:...#PEM, ...",
    )
    parser.add_argument(
        "--passphrase-env", metavar="VAR", help="environment variable with the passphrase of the one key"
    )
    parser.add_argument(
        "--since", metavar="LAST", help="show what it says otherwise than this one, which the key has signed"
    )
    parser.add_argument(
        "--yes",
        metavar="DIGEST",
        nargs="?",
        const=YES,
        help="yes, sign this: with the digest that was shown, only if the file is still the same",
    )
