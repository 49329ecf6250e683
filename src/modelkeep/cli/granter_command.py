"""`modelkeep granter`: answers requests; says who waits, lets a person allow it, and checks its journal."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import Any

from modelkeep.cli import objects as options
from modelkeep.cli.output import counted, named, print_json, report, say, show
from modelkeep.errors import UsageError
from modelkeep.granter import person, policy_file
from modelkeep.granter.audit import audit
from modelkeep.granter.granter import Tally, run_granter
from modelkeep.granter.journal_head import JournalHead
from modelkeep.granter.policy import GranterPolicy
from modelkeep.granter.state import journal_path
from modelkeep.granter.waiting import Waiting
from modelkeep.storage import read_as, write_file
from modelkeep.trust.envelope import LARGEST_FILE
from modelkeep.trust.roots_document import by_fingerprint

_NEEDED = ("requests", "grants", "policy", "key", "grant_signer")


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    actions = {None: _run, "waiting": _waiting, "allow": _allow, "ask": _ask, "audit": _audit}
    actions[arguments.action](arguments)


def _run(arguments: argparse.Namespace) -> None:
    missing = [name for name in _NEEDED if getattr(arguments, name) is None]
    if missing:
        raise UsageError(f"--{missing[0].replace('_', '-')} is missing", hint="modelkeep granter --help")
    tally = run_granter(
        arguments.requests,
        arguments.grants,
        policy_file.read(arguments.policy),
        identity=arguments.key,
        grant_signer=arguments.grant_signer,
        verifier=options.verifier(arguments),
    )
    for line in _lines(tally):
        say(line)
    report(arguments, path=arguments.grants, source=arguments.requests, **_facts(tally))


def _lines(tally: Tally) -> list[str]:
    counts = {
        counted(tally.issued, "grant"): True,
        f"{counted(tally.asked, 'question')} asked": tally.asked,
        f"{tally.refusals:,} refused": tally.refusals,
        f"{tally.waiting:,} waiting for a person: modelkeep granter waiting": tally.waiting,
        f"{tally.not_due:,} not due yet": tally.not_due,
        f"{tally.unreadable:,} no requests": tally.unreadable,
    }
    said = ", ".join(words for words, is_said in counts.items() if is_said)
    lines = [f"{counted(tally.requests, 'request')}: {said}"]
    if tally.held:
        lines.append(f"could not be put out, since somebody holds their names: {named(tally.held)}")
    if tally.nobody_in:
        lines.append(
            f"no device of the roster is in a group that has to prove something: {named(tally.nobody_in)}"
        )
    return lines


def _facts(tally: Tally) -> dict[str, Any]:
    return {
        "requests": tally.requests,
        "issued": tally.issued,
        "asked": tally.asked,
        "refusals": tally.refusals,
        "for_person": tally.waiting,
        "not_due": tally.not_due,
        "unreadable": tally.unreadable,
        "held": tally.held,
        "nobody_in": tally.nobody_in,
    }


def _waiting(arguments: argparse.Namespace) -> None:
    found = person.waiting(_policy(arguments))
    if arguments.json:
        print_json({"devices": [_waiting_facts(each) for each in found]})
        return
    if not found:
        say("nobody waits")
    for each in found:
        show(_waiting_in_words(each))


def _allow(arguments: argparse.Namespace) -> None:
    allowed = person.allow(_policy(arguments), arguments.names, everybody=arguments.all)
    for each in allowed:
        say(f"allowed: {each.name}  {each.model}; the next run grants it when the device asks")
    report(arguments, devices=[_waiting_facts(each) for each in allowed])


def _waiting_in_words(waiting: Waiting) -> str:
    replaces = f"  in place of {waiting.replaces.hex()[:16]}" if waiting.replaces else ""
    allowed = "  allowed" if waiting.allowed else ""
    return f"{waiting.name}  {waiting.model}  {waiting.device.hex()}{replaces}{allowed}"


def _waiting_facts(waiting: Waiting) -> dict[str, Any]:
    return {
        "name": waiting.name,
        "model": waiting.model,
        "device": waiting.device.hex(),
        "replaces": waiting.replaces.hex(),
        "allowed": waiting.allowed,
    }


def _ask(arguments: argparse.Namespace) -> None:
    question = person.ask(_policy(arguments))
    write_file(arguments.output, question.to_bytes(), force=arguments.force)
    say(f"question written: {arguments.output}; it is good for one answer")
    report(arguments, path=arguments.output)


def _audit(arguments: argparse.Namespace) -> None:
    path = Path(arguments.journal)
    if (arguments.head or arguments.answers) and not arguments.signer:
        raise UsageError("nobody signs what is to be compared", hint="pass --signer issuer.pub")
    signers = by_fingerprint(arguments.signer)
    parse = functools.partial(JournalHead.from_bytes, signers=signers)
    heads = [read_as(each, LARGEST_FILE, "a journal's head", parse) for each in arguments.head]
    answers = None if arguments.answers is None else Path(arguments.answers)
    journal = journal_path(path) if path.is_dir() else path
    found = audit(journal, heads, answers, signers, arguments.bundle)
    counts = {event.value: count for event, count in found.events.items()}
    for event, count in sorted(counts.items()):
        say(f"{count:>8,} {event}")
    say(f"ok: {counted(found.number, 'line')}, none changed or missing; sha256:{found.digest.hex()}")
    report(
        arguments,
        path=os.fspath(path),
        digest=found.digest.hex(),
        total=found.number,
        events=counts,
        put_out=found.published,
    )


def _policy(arguments: argparse.Namespace) -> GranterPolicy:
    if arguments.policy is None:
        raise UsageError("whose?", hint="pass --policy granter.toml")
    return policy_file.read(arguments.policy)
