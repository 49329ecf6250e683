"""`modelkeep grant`: give a sealed model to more devices."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from modelkeep.bulk_granting import count_devices, grant_all
from modelkeep.cli import objects as options
from modelkeep.cli.output import counted, named, print_json, progress, say
from modelkeep.errors import UsageError
from modelkeep.granting import grant
from modelkeep.grants.recipient_text import short_name
from modelkeep.keys.identity import Identity


def run(arguments: argparse.Namespace) -> None:
    """Issues grants and appends them to the bundle's grants file, or writes those of a whole fleet."""
    if arguments.recipients is None:
        _some(arguments)
    else:
        _all(arguments)


def _some(arguments: argparse.Namespace) -> None:
    with Identity(arguments.key) as identity:
        granted = grant(
            arguments.bundle,
            to=arguments.recipient,
            admins=arguments.admin,
            output=arguments.output,
            **_terms(arguments, identity),
        )
    opening, admins = ([short_name(each) for each in group] for group in (granted.recipients, granted.admins))
    _report(arguments, granted.path, new=len(opening) + len(admins), recipients=opening, admins=admins)
    who = named([*opening, *(f"{name} (may grant)" for name in admins)])
    say(f"granted to {counted(len(opening) + len(admins), 'recipient')}: {who}; in {granted.path}")


def _all(arguments: argparse.Namespace) -> None:
    if arguments.output is None:
        raise UsageError("the grants of a fleet go into a file of their own", hint="pass -o FILE")
    if arguments.recipient or arguments.admin:
        raise UsageError("-r and --admin do not go with --recipients", hint="put them into the list")
    start = time.monotonic()
    total = count_devices(arguments.recipients)
    with Identity(arguments.key) as identity, progress("granting", total, _grants) as advance:
        grants = grant_all(
            arguments.bundle,
            arguments.recipients,
            arguments.output,
            progress=advance,
            **_terms(arguments, identity),
        )
    seconds = time.monotonic() - start
    _report(arguments, arguments.output, **grants._asdict())
    say(f"{_grants(grants.total)} in {arguments.output}, {grants.new:,} of them new, {seconds:.1f} s")


def _report(arguments: argparse.Namespace, path: str | os.PathLike[str], **facts: Any) -> None:
    if arguments.json:
        print_json({"bundle": arguments.bundle, "grants": os.fspath(path), **facts})


def _terms(arguments: argparse.Namespace, identity: Identity) -> dict[str, Any]:
    return {
        "identity": identity,
        "constraints": options.constraints(arguments),
        "verifier": options.verifier(arguments),
        "grant_file": arguments.grant,
        "grant_signer": options.grant_signer(arguments),
    }


def _grants(count: float) -> str:
    return f"{count:,.0f} grants"
