"""The options of `modelkeep trust` and of its commands."""

from __future__ import annotations

import argparse

from modelkeep.cli.options.agreement import add_agreement
from modelkeep.cli.options.shared import add_action, add_actions, add_force, add_time_authority

# Set as `typing` would: what commands are made of is kept cheap to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    actions = add_actions(parser)
    for add_command in (_create, _next, _roots_document, _ticket, _sign, _show):
        add_command(actions)


def _create(actions: Any) -> None:
    parser = add_action(actions, "create", "make the first trust file, which its roots sign afterwards")
    parser.add_argument(
        "--expires", metavar="WHEN", required=True, help="counts until then: 2027-01-31, or +365d"
    )
    parser.add_argument("--number", metavar="N", type=int, default=1, help="its number (default: 1)")
    _publishers(parser)
    _revoked(parser)
    _besides(parser)
    _output(parser)


def _next(actions: Any) -> None:
    parser = add_action(
        actions, "next", "make the next trust file from the last; its roots sign it afterwards"
    )
    parser.add_argument("file", metavar="LAST", help="the newest trust file there is")
    parser.add_argument("--expires", metavar="WHEN", help="counts until then (default: as the last one)")
    _publishers(parser)
    parser.add_argument(
        "--end",
        metavar="WHO[=WHEN]",
        action="append",
        default=[],
        help="what this publisher (PEM file or identity) seals after WHEN (default: now) does not count",
    )
    parser.add_argument(
        "--remove",
        metavar="WHO",
        action="append",
        default=[],
        help="this publisher goes, and nothing that it sealed counts; --end keeps what it sealed so far",
    )
    _revoked(parser)
    parser.add_argument(
        "--no-floor",
        action="store_true",
        help="let older releases open again where a key goes and no --floor is given",
    )
    _besides(parser)
    _roots(parser)
    _output(parser)


def _roots_document(actions: Any) -> None:
    parser = add_action(
        actions, "roots", "make a roots document, the first or the next: who signs trust files from then on"
    )
    parser.add_argument("--last", metavar="FILE", help="the newest roots document; none makes the first")
    parser.add_argument(
        "--root", metavar="PEM", action="append", default=[], help="this key signs from then on"
    )
    parser.add_argument(
        "--remove",
        metavar="KEY",
        action="append",
        default=[],
        help="this key signs no more, and never again: PEM file, or fingerprint",
    )
    parser.add_argument(
        "--threshold", metavar="N", type=int, help="how many have to sign (default: as before, or 1)"
    )
    _output(parser)


def _ticket(actions: Any) -> None:
    parser = add_action(actions, "ticket", "make a ticket: what one device is to let go of, once")
    parser.add_argument(
        "--device", metavar="DIGEST", required=True, help="as `modelkeep state show` prints it"
    )
    parser.add_argument(
        "--generation", metavar="HEX", required=True, help="as `modelkeep state show` prints it"
    )
    _void(parser, "this bundle does not count among what was installed: the bundle, or its id")
    parser.add_argument("--time", metavar="WHEN", help="the device's remembered time is this")
    parser.add_argument(
        "--forget-quarantine", action="store_true", help="releases that failed their trial may be tried again"
    )
    parser.add_argument(
        "--adopt", metavar="N", type=int, help="the state at hand counts, and the device's counter says N"
    )
    parser.add_argument(
        "--mark",
        metavar="RELEASE",
        action="append",
        default=[],
        help="a release that --adopt brings back, as the state names it: a bundle, or MODEL=EPOCH@TIME",
    )
    _output(parser)


def _sign(actions: Any) -> None:
    parser = add_action(actions, "sign", "show a trust file and add the signature of a root to it")
    parser.add_argument("file", metavar="FILE", help="trust file")
    add_agreement(parser, "root key")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it here (default: into FILE itself)")
    add_force(parser)


def _show(actions: Any) -> None:
    parser = add_action(actions, "show", "say what a trust file says; with --trust-root, verify it")
    parser.add_argument("file", metavar="FILE", help="trust file")
    parser.add_argument("--since", metavar="LAST", help="show what it says otherwise than this one")
    _roots(parser)
    parser.add_argument(
        "--minimum-trust-number", metavar="N", type=int, default=0, help="refuse older trust files"
    )


def _publishers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--publisher",
        metavar="PEM[=MODELS]",
        action="append",
        default=[],
        help="this key may sign these models: acme/detector,acme/audio/* or * (of a known key: as before)",
    )
    parser.add_argument(
        "--identity",
        metavar="NAME[=MODELS]",
        action="append",
        default=[],
        help="whom Sigstore knows by this name may: an address, or the URI of a workflow with its reference",
    )
    parser.add_argument("--issuer", metavar="URL", help="who vouches to Sigstore for these identities")
    parser.add_argument("--sigstore-root", metavar="FILE", help="Sigstore's trusted root, which devices pin")
    parser.add_argument(
        "--families",
        metavar="NAMES",
        help="of these models, these publishers sign these families only: a,b (default: every one)",
    )
    parser.add_argument("--not-before", metavar="WHEN", help="what these publishers seal counts from then on")
    parser.add_argument("--not-after", metavar="WHEN", help="what these publishers seal counts until then")


def _revoked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--revoke",
        metavar="KEY",
        action="append",
        default=[],
        help="nothing that this key signed counts: PEM file, or fingerprint",
    )
    parser.add_argument(
        "--revoke-bundle",
        metavar="BUNDLE",
        action="append",
        default=[],
        help="this bundle does not count: the bundle, or its id",
    )


def _besides(parser: argparse.ArgumentParser) -> None:
    _void(parser, "this bundle does not count, nor does what devices remember of it: the bundle, or its id")
    parser.add_argument(
        "--floor",
        metavar="RELEASE",
        action="append",
        default=[],
        help="nothing older than this release counts: the bundle, or MODEL=EPOCH[@TIME]",
    )
    add_time_authority(parser)
    parser.add_argument(
        "--roots", metavar="FILE", help="the newest roots document, whose keys sign this file"
    )


def _void(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("--void", metavar="BUNDLE", action="append", default=[], help=help_text)


def _roots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust-root",
        metavar="FILE",
        action="append",
        default=[],
        help="public key that signs trust files, or the roots document",
    )
    parser.add_argument(
        "--trust-threshold", metavar="N", type=int, default=1, help="how many of them must have signed"
    )


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="trust file to write")
    add_force(parser)
