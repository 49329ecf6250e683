"""`modelkeep grant`: give a sealed model to more devices."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

from modelkeep.bulk_granting import count_devices, grant_all
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.output import counted, named_with_admins, progress, report, say, terms_in_words, time_of
from modelkeep.errors import UsageError
from modelkeep.granting import grant
from modelkeep.grants.constraints import Constraints
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
    recipients, admins = (
        [short_name(each) for each in group] for group in (granted.recipients, granted.admins)
    )
    count = counted(len(recipients) + len(admins), "recipient")
    say(f"granted to {count}: {named_with_admins(recipients, admins)}; in {granted.path}")
    _finish(arguments, granted.path, granted.constraints, recipients, admins, len(recipients) + len(admins))


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
            with_admins=arguments.with_admins,
            progress=advance,
            **_terms(arguments, identity),
        )
    seconds = time.monotonic() - start
    who = named_with_admins(grants.recipients, grants.admins)
    count = f"{_grants(grants.total)} in {arguments.output}, {grants.new:,} of them new"
    say(f"{count}, {seconds:.1f} s: for {who}")
    every = grants.recipients, grants.admins
    _finish(arguments, arguments.output, grants.constraints, *every, grants.new, total=grants.total)


def _finish(
    arguments: argparse.Namespace,
    path: str | os.PathLike[str],
    terms: Constraints,
    recipients: Sequence[str],
    admins: Sequence[str],
    new: int,
    **more: int,
) -> None:
    asked = options.constraints(arguments)
    with Bundle(arguments.bundle) as bundle:
        manifest = bundle.unverified_manifest()
    say(f"of {manifest.model} epoch {manifest.epoch}{terms_in_words(terms)}")
    if terms.not_after is not None and terms.not_after != asked.not_after:
        say(f"note: until {time_of(terms.not_after)}, when the granter's own grant ends")
    report(
        arguments,
        path=os.fspath(path),
        source=arguments.bundle,
        bundle=manifest.bundle.hex(),
        model=manifest.model,
        epoch=manifest.epoch,
        constraints=terms.to_json(),
        recipients=list(recipients),
        admins=list(admins),
        new=new,
        **more,
    )


def _terms(arguments: argparse.Namespace, identity: Identity) -> dict[str, Any]:
    return {
        "identity": identity,
        "constraints": options.constraints(arguments),
        "verifier": options.verifier(arguments),
        "grant_file": arguments.grant,
        "grant_signer": options.grant_signer(arguments),
    }


def _grants(count: float) -> str:
    return counted(round(count), "grant")
