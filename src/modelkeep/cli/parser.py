"""The grammar of the command line."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

from modelkeep._version import __version__
from modelkeep.cli.guard_parser import add_guard
from modelkeep.cli.keys_parser import add_doctor, add_keys
from modelkeep.cli.opening_options import add_key_options, add_trust_options
from modelkeep.cli.trust_parser import add_trust

_Subparsers = Any


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser; `parsed.command(parsed)` runs what was asked for."""
    parser = argparse.ArgumentParser(
        prog="modelkeep",
        allow_abbrev=False,
        description="Seal machine-learning models, grant them to devices, open them only in memory.",
        epilog="Exit codes: 0 done, 2 usage, 3 refused, 4 not for this device, 5 malformed or too new, "
        "6 unavailable.",
    )
    parser.add_argument("--version", action="version", version=f"modelkeep {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_keygen, _learn, _seal, _inspect, _verify, _grant, _sign, _install, _run, _extract, _import):
        add(commands)
    for add_with in (add_guard, add_keys, add_trust, add_doctor):
        add_with(commands, _command)
    return parser


def _keygen(commands: _Subparsers) -> None:
    parser = _command(commands, "keygen", "make a key; its public line goes to standard output")
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
    _force(parser)
    parser.add_argument("key", metavar="KEY", help="file:PATH, fleet:PATH, or PATH")


def _learn(commands: _Subparsers) -> None:
    parser = _command(commands, "learn", "learn what inputs of a model usually look like")
    parser.add_argument("samples", metavar="SAMPLE", nargs="+", help=".npz with the inputs of one call")
    parser.add_argument(
        "--model", metavar="MODEL", required=True, help="file or folder, as it will be sealed"
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="guard profile to write")
    _force(parser)
    parser.add_argument("--stacked", action="store_true", help="files hold many samples: cut along axis 0")
    parser.add_argument("--input", metavar="NAME", help="whose samples .npy files are")
    parser.add_argument("--entry", metavar="PATH", help="file within a folder that the runtime loads")
    parser.add_argument(
        "--alpha", type=float, default=0.01, help="highest rate of false alarms of each stage (default: 0.01)"
    )
    parser.add_argument(
        "--delta", type=float, default=0.05, help="chance that it is exceeded all the same (default: 0.05)"
    )
    parser.add_argument(
        "--layout", metavar="NAME=AXES", action="append", default=[], help="axes of an input: NCHW, NTC, ..."
    )
    parser.add_argument("--embedding", metavar="OUTPUT", help="output that shows what the last layer sees")
    parser.add_argument(
        "--squeeze",
        metavar="HOW",
        action="append",
        default=[],
        help="run the model again on squeezed inputs: mean, median, depth-4 or depth-5",
    )
    parser.add_argument(
        "--rule",
        metavar="RULE",
        action="append",
        help="of the stage model: margin, confidence, energy, distance (default: margin, and distance "
        "with --embedding)",
    )
    parser.add_argument(
        "--action", metavar="STAGE=WHAT", action="append", default=[], help="reject, flag or off; signal=flag"
    )
    _json(parser)


def _seal(commands: _Subparsers) -> None:
    parser = _command(commands, "seal", "seal a model into a bundle")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="model file, folder with all files of the model, or - for standard input",
    )
    parser.add_argument("--name", metavar="NAME", help="the model's file name, with MODEL -")
    _recipients(parser)
    _signer(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="bundle to write (default: MODEL's name + .keep)"
    )
    _force(parser)
    _seal_labels(parser)
    parser.add_argument("--contract", metavar="FILE", help="JSON with tighter bounds for the model's inputs")
    parser.add_argument("--guard", metavar="FILE", help="guard profile that `modelkeep learn` made")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sealed, write nothing")
    _json(parser)


def _seal_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model-id", metavar="ID", help="stable id, for example acme/detector (default: file stem)"
    )
    parser.add_argument(
        "--epoch", type=int, default=1, help="release counter; devices never go back (default: 1)"
    )
    parser.add_argument("--family", default="", help="group of models")
    parser.add_argument("--release", default="", help="version for people")
    parser.add_argument("--entry", metavar="PATH", help="file within a folder that the runtime loads")
    parser.add_argument(
        "--suite", choices=["aes", "chacha"], default="aes", help="chacha for CPUs without AES (default: aes)"
    )
    parser.add_argument("--leaf", choices=["blake3", "sha256"], default="blake3", help="segment digest")
    parser.add_argument(
        "--digest",
        choices=["files", "leaves"],
        default="files",
        help="leaves: faster, but model_signing then proves nothing about the payload (default: files)",
    )
    _constraints(parser)
    parser.add_argument(
        "--grant-signer",
        metavar="KEY",
        help="accept only grants signed with this key, and sign those embedded",
    )


def _inspect(commands: _Subparsers) -> None:
    parser = _command(commands, "inspect", "say what a bundle says of itself; needs no key, proves nothing")
    parser.add_argument("bundle", metavar="BUNDLE")
    _json(parser)


def _verify(commands: _Subparsers) -> None:
    parser = _command(commands, "verify", "check a bundle, or a plain file against its signature")
    parser.add_argument("file", metavar="FILE", help="bundle, or any file together with --signature")
    add_trust_options(parser)
    parser.add_argument(
        "--signature", metavar="FILE", help="plain mode: a signature as `openssl dgst -sha256 -sign` makes it"
    )
    _json(parser)


def _grant(commands: _Subparsers) -> None:
    parser = _command(commands, "grant", "give a sealed model to more devices")
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "somebody who may grant: sealed or granted to as --admin")
    _recipients(parser)
    _constraints(parser)
    add_trust_options(parser)
    parser.add_argument("--recipients", metavar="FILE", help="a whole fleet: a list of devices, one a line")
    parser.add_argument("--grant-signer", metavar="KEY", help="sign the new grants with this key")
    parser.add_argument("-o", "--output", metavar="FILE", help="append to this file (default: BUNDLE.grants)")


def _sign(commands: _Subparsers) -> None:
    parser = _command(commands, "sign", "sign a plain file as `openssl dgst -sha256 -sign` does")
    parser.add_argument("file", metavar="FILE")
    _signer(parser, unsigned=False)
    parser.add_argument("-o", "--output", metavar="FILE", help="signature to write (default: FILE.sig)")
    _force(parser)


def _install(commands: _Subparsers) -> None:
    parser = _command(commands, "install", "verify a bundle once and keep it for this device alone")
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="installation to write")
    _force(parser)


def _run(commands: _Subparsers) -> None:
    parser = _command(commands, "run", "open a bundle in memory and run the model once")
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    parser.add_argument(
        "-i",
        "--input",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="an input, as .npy; or one .npz",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the outputs to this .npz")
    _force(parser)
    parser.add_argument("--runtime", metavar="NAME", help="which runtime, where several could run the model")
    _json(parser)


def _extract(commands: _Subparsers) -> None:
    parser = _command(commands, "extract", "decrypt a bundle to disk, which ends its protection")
    parser.add_argument("bundle", metavar="BUNDLE")
    add_key_options(parser, "key of this device")
    add_trust_options(parser)
    parser.add_argument("--unsafe-plaintext", action="store_true", help="yes, write the model in the clear")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="new folder for the files")


def _import(commands: _Subparsers) -> None:
    parser = _command(commands, "import", "seal a model from a file of the form nonce | ciphertext | tag")
    parser.add_argument("file", metavar="FILE", help="AES-256-GCM file: nonce[12] | ciphertext | tag[16]")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--old-key", metavar="FILE", help="its 32-byte key: raw, hexadecimal or base64")
    source.add_argument("--old-master", metavar="FILE", help="fleet master its key was derived from")
    parser.add_argument("--old-device-id", metavar="ID", help="device id used as salt, with --old-master")
    parser.add_argument("--old-info", metavar="TEXT", default="model-encryption", help="info used with it")
    parser.add_argument(
        "--name", metavar="NAME", required=True, help="the model's file name, for example model.onnx"
    )
    _recipients(parser)
    _signer(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="bundle to write")
    _force(parser)
    _seal_labels(parser)
    parser.add_argument("--contract", metavar="FILE", help="JSON with tighter bounds for the model's inputs")


def _command(commands: _Subparsers, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
    )
    parser.set_defaults(command=_lazily(name))
    return parser


def _lazily(name: str) -> Callable[[argparse.Namespace], None]:
    def call(arguments: argparse.Namespace) -> None:
        importlib.import_module(f"modelkeep.cli.{name}_command").run(arguments)

    return call


def _recipients(parser: argparse.ArgumentParser) -> None:
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


def _constraints(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--not-before", metavar="WHEN", help="grants count from then on: 2027-01-31, or +2d")
    parser.add_argument("--not-after", metavar="WHEN", help="grants count until then: 2027-01-31, or +90d")
    parser.add_argument(
        "--posture", metavar="NAME", action="append", default=[], help="device state that a grant demands"
    )


def _signer(parser: argparse.ArgumentParser, *, unsigned: bool = True) -> None:
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
        parser.add_argument("--certificates", metavar="FILE", help="certificate chain of the signer (PEM)")
        parser.add_argument("--unsafe-unsigned", action="store_true", help="seal without a signature")


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")
