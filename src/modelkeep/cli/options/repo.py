"""The options of `modelkeep repo` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.publishing import add_recipients
from modelkeep.cli.options.shared import add_action, add_actions

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = add_actions(parser)
    for add_command in (_init, _publish, _promote, _phase, _withdraw, _revoke, _refresh, _status):
        add_command(actions)


def _init(actions: Any) -> None:
    parser = add_action(
        actions, "init", "make a repository, or change who signs what in it: one step of its ceremony"
    )
    _folder(parser)
    parser.add_argument(
        "--person", metavar="NAME", action="append", default=[], help="takes part: has two keys, and signs"
    )
    parser.add_argument("--threshold", metavar="N", type=int, help="how many of the people have to sign")
    parser.add_argument(
        "--models",
        metavar="[FAMILY=]MODELS",
        action="append",
        default=[],
        help="models whose releases have a key of their own: acme/*, or audio=acme/audio/*",
    )
    parser.add_argument(
        "--no-spare", action="store_true", help="all people have to sign: the loss of one key is the end"
    )
    parser.add_argument(
        "--key", metavar="PLACE=PEM", action="append", default=[], help="public key for a place of the plan"
    )
    parser.add_argument("--trust", metavar="FILE", help="the next trust file, as its roots have signed it")
    _signers(parser, required=False)
    parser.add_argument(
        "--trust-signer", metavar="KEY", action="append", default=[], help="a person's key for trust files"
    )
    parser.add_argument("--yes", metavar="DIGEST", help="yes, sign what has this digest: compare it first")


def _publish(actions: Any) -> None:
    parser = add_action(actions, "publish", "put a release into the repository, if devices would take it")
    _folder(parser)
    parser.add_argument("bundle", metavar="BUNDLE", help="its archive")
    _signers(parser)
    _wishes(parser)
    parser.add_argument(
        "--share", metavar="PERCENT", default="0%", help="devices that take it at once (default: 0%%)"
    )
    parser.add_argument(
        "--attempt", metavar="N", type=int, default=0, help="of what is published: devices try it again"
    )


def _promote(actions: Any) -> None:
    parser = add_action(actions, "promote", "let every device take a release")
    _folder(parser)
    _release(parser)
    _signers(parser)


def _phase(actions: Any) -> None:
    parser = add_action(actions, "phase", "let another share of devices take a release, or no further one")
    _folder(parser)
    _release(parser)
    _signers(parser)
    parser.add_argument("--share", metavar="PERCENT", help="devices that take it: 0.1%% to 100%%")
    parser.add_argument("--pause", action="store_true", help="no further device begins with it")
    parser.add_argument("--resume", action="store_true", help="go on after a pause")


def _withdraw(actions: Any) -> None:
    parser = add_action(
        actions, "withdraw", "take a release back: nobody stages or tries it any more; who has it keeps it"
    )
    _folder(parser)
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle, or its id")
    _signers(parser)
    parser.add_argument(
        "--replacement", metavar="FILE", help="publish this bundle in its place, for everybody"
    )
    parser.add_argument(
        "--again",
        metavar="FILE",
        help="seal the model of this older bundle anew, and publish that in its place",
    )
    parser.add_argument(
        "-k", "--key", metavar="KEY", help="with --again: key that may grant the older bundle"
    )
    parser.add_argument("--bundle-signer", metavar="KEY", help="with --again: key that seals bundles")
    add_recipients(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="with --again: the new bundle")
    _wishes(parser)


def _revoke(actions: Any) -> None:
    parser = add_action(
        actions, "revoke", "publish a trust file by which a bundle opens nowhere any more; replace it first"
    )
    _folder(parser)
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle, or its id")
    parser.add_argument(
        "--trust", metavar="FILE", required=True, help="the next trust file, as its roots have signed it"
    )
    _signers(parser)
    parser.add_argument(
        "--stop-devices", action="store_true", help="even where devices then have no release that opens"
    )


def _refresh(actions: Any) -> None:
    parser = add_action(actions, "refresh", "sign anew what ends soon; for a timer, once a day")
    _folder(parser)
    _signers(parser)
    parser.add_argument(
        "--interval", metavar="SECONDS", type=int, help="ask devices to look that often (default: as before)"
    )


def _status(actions: Any) -> None:
    parser = add_action(actions, "status", "verify the repository, and say what is in it")
    _folder(parser)
    parser.add_argument("--every-byte", action="store_true", help="read all bundles as well")


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the repository")


def _release(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "release", metavar="RELEASE", help="model id: the newest on offer; or a bundle, or its id"
    )


def _signers(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "-s",
        "--signer",
        metavar="KEY",
        action="append",
        default=[],
        required=required,
        help="key of a role: PEM file, tpm2:PATH, pkcs11:..., awskms:...#PEM, ...",
    )
    parser.add_argument(
        "--passphrase-env", metavar="VAR", help="environment variable with the passphrase of the one key"
    )


def _wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--grants", metavar="FILE", help="file of grants, as `modelkeep grant` writes it")
    parser.add_argument("--requires-modelkeep", metavar="VERSION", help="lowest version that can take it")
    parser.add_argument("--requires-guard", metavar="N", type=int, help="version of the guard's statistics")
    parser.add_argument(
        "--requires-memory", metavar="BYTES", type=int, default=0, help="memory that the open model takes"
    )
    parser.add_argument("--jump", action="store_true", help="the epoch may be far above the last one")
    parser.add_argument(
        "--leased",
        action="store_true",
        help="refuse grants without an end, and those of anybody",
    )
