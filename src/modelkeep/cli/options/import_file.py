"""The options of `modelkeep import`."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.publishing import add_recipients, add_seal_labels, add_signer
from modelkeep.cli.options.shared import add_force


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("file", metavar="FILE", help="AES-GCM file of nonce, ciphertext and tag")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--old-key", metavar="FILE", help="its key: raw, hexadecimal or base64")
    source.add_argument("--old-master", metavar="FILE", help="fleet master its key was derived from")
    parser.add_argument("--old-device-id", metavar="ID", help="device id used as salt, with --old-master")
    parser.add_argument("--old-info", metavar="TEXT", default="model-encryption", help="info used with it")
    parser.add_argument("--old-associated", metavar="TEXT", default="", help="associated data used with it")
    parser.add_argument(
        "--name", metavar="NAME", required=True, help="the model's file name, for example model.onnx"
    )
    parser.add_argument("--sha256", metavar="HEX", help="digest of the model inside, as you know it")
    parser.add_argument(
        "--unsafe-unverified", action="store_true", help="sign whatever decrypts under the old key"
    )
    add_recipients(parser)
    add_signer(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="bundle to write")
    add_force(parser)
    add_seal_labels(parser)
    parser.add_argument("--contract", metavar="FILE", help="JSON with tighter bounds for the model's inputs")
