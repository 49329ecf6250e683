"""Options of commands that make bundles and grants: who signs, for whom, until when, and what is said."""

from __future__ import annotations

import argparse


def add_recipients(parser: argparse.ArgumentParser) -> None:
    """Adds who may open, and who may grant."""
    parser.add_argument(
        "-r",
        "--recipient",
        metavar="PUB",
        action="append",
        default=[],
        help="public key file or line; may open",
    )
    parser.add_argument(
        "--admin", metavar="PUB", action="append", default=[], help="like -r, and may grant it to others"
    )


def add_constraints(parser: argparse.ArgumentParser) -> None:
    """Adds what new grants demand."""
    parser.add_argument("--not-before", metavar="WHEN", help="grants count from then on: 2027-01-31, or +2d")
    parser.add_argument("--not-after", metavar="WHEN", help="grants count until then: 2027-01-31, or +90d")
    parser.add_argument(
        "--posture",
        metavar="NAME",
        action="append",
        default=[],
        help="posture that a grant demands",
    )


def add_signer(parser: argparse.ArgumentParser, *, unsigned: bool = True) -> None:
    """Adds whose key signs; `unsigned` also offers to do without, and what goes with bundles."""
    parser.add_argument(
        "-s",
        "--signer",
        metavar="KEY",
        required=not unsigned,
        help="private key: PEM file, tpm2:PATH, pkcs11:...",
    )
    parser.add_argument(
        "--passphrase-env", metavar="VAR", help="environment variable with the key's passphrase"
    )
    if unsigned:
        parser.add_argument(
            "--second-signer", metavar="FILE", help="ML-DSA-65 key that signs as well: PEM file"
        )
        parser.add_argument(
            "--timestamp",
            metavar="URL",
            help="authority of time (RFC 3161) that says when it was signed: certificates then stay good",
        )
        parser.add_argument("--certificates", metavar="FILE", help="certificate chain of the signer (PEM)")
        parser.add_argument("--unsafe-unsigned", action="store_true", help="seal without a signature")


def add_seal_labels(parser: argparse.ArgumentParser) -> None:
    """Adds what a bundle says of its model, and how it is encrypted and signed."""
    parser.add_argument(
        "--model-id", metavar="ID", help="stable id, for example acme/detector (default: file stem)"
    )
    parser.add_argument(
        "--epoch", type=int, default=1, help="release counter; devices never go back (default: 1)"
    )
    parser.add_argument("--family", default="", help="group of models")
    parser.add_argument("--release", default="", help="version for people")
    parser.add_argument(
        "--entry",
        metavar="PATH[#FUNCTION]",
        action="append",
        help="file within a folder that the runtime loads; more may follow, to choose from at opening",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="format of the model where its content does not tell, or 'files'"
    )
    parser.add_argument(
        "--suite", choices=["aes", "chacha"], help="chacha for CPUs without AES (default: aes)"
    )
    parser.add_argument("--leaf", choices=["blake3", "sha256"], default="blake3", help="segment digest")
    parser.add_argument(
        "--digest",
        choices=["files", "leaves"],
        default="files",
        help="leaves: faster, but model_signing then proves nothing about the payload (default: files)",
    )
    add_constraints(parser)
    parser.add_argument(
        "--grant-signer",
        metavar="KEY",
        help="accept only grants signed with this key, and sign those embedded",
    )
    parser.add_argument(
        "--leased", action="store_true", help="refuse to seal what any device could open for ever"
    )


def add_model_signature(parser: argparse.ArgumentParser, option: str) -> None:
    """Adds what is said besides of a signature of OpenSSF Model Signing, which `option` names."""
    parser.add_argument(
        "--ignore",
        metavar="NAME",
        action="append",
        default=[],
        help=f"with {option} of a folder: this file or folder in it need not be signed",
    )
    parser.add_argument(
        "--identity", metavar="WHO", help=f"with {option}: a Sigstore identity, mail address or workflow"
    )
    parser.add_argument("--issuer", metavar="URL", help="who vouched for that identity")
    parser.add_argument(
        "--sigstore-root", metavar="FILE", help="Sigstore's trusted root, which is pinned; nothing is fetched"
    )
