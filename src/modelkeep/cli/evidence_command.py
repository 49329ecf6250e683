"""`modelkeep evidence`: what a look at a model has shown, for those who audit it."""

from __future__ import annotations

import argparse
import time
from typing import Any

from modelkeep.assurance.assessment import Row, assess
from modelkeep.assurance.examination import examine_bundle, examine_opened
from modelkeep.assurance.fact import Fact
from modelkeep.assurance.page import page
from modelkeep.bundle.access import Access
from modelkeep.bundle.installation import is_installation
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.cli import objects as options
from modelkeep.cli.output import progress, report, say
from modelkeep.errors import KeepError, MalformedError, NotForThisDeviceError, RefusedError, UsageError
from modelkeep.storage import write_file


def run(arguments: argparse.Namespace) -> None:
    """Looks at a model, prints what was found, and ends as its refusal does."""
    at = int(time.time())
    refusal: KeepError | None = None
    try:
        facts = _facts(arguments)
    except (RefusedError, NotForThisDeviceError, MalformedError) as error:
        facts, refusal = (), error
    _deliver(arguments, at, facts, assess(facts), None if refusal is None else str(refusal))
    if refusal is not None:
        raise refusal


def _facts(arguments: argparse.Namespace) -> tuple[Fact, ...]:
    verifier, path = options.verifier(arguments), arguments.bundle
    with progress("checking", options.size_of(path)) as advance:
        if arguments.key is None:
            _refuse_what_needs_a_key(arguments)
            return examine_bundle(path, verifier, advance)
        with Access(arguments.key, verifier, arguments.grant, options.posture(arguments)) as access:
            return examine_opened(path, access, arguments.key, isolated=arguments.isolated, progress=advance)


def _refuse_what_needs_a_key(arguments: argparse.Namespace) -> None:
    if arguments.isolated or arguments.grant is not None:
        raise UsageError("--isolated and --grant go with the key of a device", hint="pass it with -k")
    if SlotFolder.is_at(arguments.bundle) or is_installation(arguments.bundle):
        raise UsageError("only this device can check what it installed", hint="pass its key with -k")


def _deliver(
    arguments: argparse.Namespace,
    at: int,
    facts: tuple[Fact, ...],
    rows: tuple[Row, ...],
    refusal: str | None,
) -> None:
    text = page(arguments.bundle, at, facts, rows, refusal)
    if arguments.output is not None:
        write_file(arguments.output, text.encode(), force=arguments.force)
        say(f"evidence written: {arguments.output}")
    elif not arguments.json:
        print(text, end="")
    report(arguments, **_members(arguments, at, facts, rows, refusal))


def _members(
    arguments: argparse.Namespace,
    at: int,
    facts: tuple[Fact, ...],
    rows: tuple[Row, ...],
    refusal: str | None,
) -> dict[str, Any]:
    return {
        "path": arguments.output,
        "source": arguments.bundle,
        "at": at,
        "verified": refusal is None,
        "reason": refusal,
        "facts": [fact.to_json() for fact in facts],
        "requirements": [row.to_json() for row in rows],
    }
