"""`modelkeep grant`: give a sealed model to more devices."""

from __future__ import annotations

import argparse
import time
from typing import Any

from modelkeep.bulk_granting import count_devices, grant_all
from modelkeep.cli import objects as options
from modelkeep.cli.output import progress, say
from modelkeep.errors import UsageError
from modelkeep.granting import grant
from modelkeep.keys.identity import Identity


def run(arguments: argparse.Namespace) -> None:
    """Issues grants and appends them to the bundle's grants file, or writes those of a whole fleet."""
    if arguments.recipients is None:
        _some(arguments)
    else:
        _all(arguments)


def _some(arguments: argparse.Namespace) -> None:
    with Identity(arguments.key) as identity:
        target = grant(
            arguments.bundle,
            to=arguments.recipient,
            admins=arguments.admin,
            output=arguments.output,
            **_terms(arguments, identity),
        )
    say(f"granted, in {target}")


def _all(arguments: argparse.Namespace) -> None:
    if arguments.output is None:
        raise UsageError("the grants of a fleet go into a file of their own", hint="pass -o FILE")
    if arguments.recipient or arguments.admin:
        raise UsageError("-r and --admin do not go with --recipients", hint="put them into the list")
    start = time.monotonic()
    total = count_devices(arguments.recipients)
    with Identity(arguments.key) as identity, progress("granting", total, _grants) as advance:
        count = grant_all(
            arguments.bundle,
            arguments.recipients,
            arguments.output,
            progress=advance,
            **_terms(arguments, identity),
        )
    seconds = time.monotonic() - start
    say(f"{_grants(count)} in {arguments.output}, {seconds:.1f} s")


def _terms(arguments: argparse.Namespace, identity: Identity) -> dict[str, Any]:
    checked = bool(arguments.trust or arguments.second_trust) or arguments.unsafe_unsigned
    return {
        "identity": identity,
        "constraints": options.constraints(arguments),
        "verifier": options.verifier(arguments) if checked else None,
        "grant_file": arguments.grant,
        "grant_signer": options.grant_signer(arguments),
    }


def _grants(count: float) -> str:
    return f"{count:,.0f} grants"
