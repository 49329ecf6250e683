"""`modelkeep repo init`: one step of a repository's ceremony, and what the next ones are."""

from __future__ import annotations

import argparse
import time

from modelkeep.cli.output import report, say
from modelkeep.cli.repo_command import channel_signers
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.public_key import fingerprint
from modelkeep.storage import read_as
from modelkeep.trust.document_report import statements
from modelkeep.trust.envelope import LARGEST_FILE
from modelkeep.trust.signers import open_signer
from modelkeep.updates.repository.ceremony import Ceremony
from modelkeep.updates.repository.family import Family
from modelkeep.updates.repository.plan import CHANNEL, ONLINE, PHASE, PUBLISHER, TRUST, Plan
from modelkeep.updates.repository.progress import Progress, Waiting
from modelkeep.updates.repository.repository import Repository

_KINDS = {CHANNEL: "channel", TRUST: "root"}


def run(arguments: argparse.Namespace) -> None:
    """Does what is asked for, and says how far things are and what is next."""
    ceremony = Ceremony(Repository(arguments.folder))
    _begin(ceremony, arguments)
    for text in arguments.key:
        place, equals, path = text.partition("=")
        if not equals:
            raise UsageError(f"not a place and a key: {text!r:.80}", hint="write --key alice.trust=alice.pub")
        ceremony.bring(place, path)
    if arguments.trust is not None:
        read_as(arguments.trust, LARGEST_FILE, "a trust file", ceremony.bring_trust)
    _advance(ceremony, arguments)


def _begin(ceremony: Ceremony, arguments: argparse.Namespace) -> None:
    if not (arguments.person or arguments.models or arguments.threshold):
        return
    if not (arguments.person and arguments.models and arguments.threshold):
        raise UsageError("a plan has people, a threshold and models", hint="--person, --threshold, --models")
    if arguments.threshold >= len(arguments.person) and not arguments.no_spare:
        raise UsageError(
            "all people have to sign: if one key is lost, nobody can ever change anything again",
            hint="take one person more, or a lower threshold; or pass --no-spare",
        )
    families = tuple(map(Family.parse, arguments.models))
    ceremony.begin(Plan(tuple(arguments.person), arguments.threshold, families))


def _advance(ceremony: Ceremony, arguments: argparse.Namespace) -> None:
    before = ceremony.advance()
    signers = channel_signers(arguments)
    trust_signers = [open_signer(uri, purpose=Purpose.ROOT) for uri in arguments.trust_signer]
    if not (signers or trust_signers):
        _show(before)
        _report(arguments, before)
        return
    for line in _agreed(before):
        say(line)
    after = ceremony.advance(signers, trust_signers, arguments.yes)
    _show_steps(after)
    _report(arguments, after)


def _show(progress: Progress) -> None:
    for line in _agreed(progress):
        say(line)
    _show_steps(progress)


def _agreed(progress: Progress) -> list[str]:
    plan = progress.plan
    lines = [f"{len(plan.people)} people ({', '.join(plan.people)}), of whom {plan.threshold} sign"]
    if progress.digest is not None:
        what = (
            "a new repository"
            if progress.changes is None
            else f"changes one, after its root {progress.changes}"
        )
        lines.append(what)
    lines += [f"role {each.role}: {', '.join(each.models)}" for each in plan.families]
    lines += [
        f"{place}: sha256:{fingerprint(plan.keys[place])}" for place in plan.places if place in plan.keys
    ]
    for envelope in progress.envelopes:
        lines += statements(envelope, int(time.time()))
    return lines if progress.digest is None else [*lines, f"digest: {progress.digest}"]


def _show_steps(progress: Progress) -> None:
    for place in progress.plan.missing:
        say(f"missing: {place}: modelkeep keys create --kind {_kind(place)} {place}.pem > {place}.pub")
    if progress.plan.missing:
        say("then bring the public halves: --key PLACE=FILE.pub; keep a copy of each key elsewhere")
        return
    for waiting in progress.waiting:
        say(_line(waiting, progress.plan))
    if progress.is_published:
        say("published: serve metadata/ and targets/")
        say("give devices metadata/1.root.json, ceremony/trust-roots.json and ceremony/trust.json")
    else:
        say(f"next: those who are missing sign, -s or --trust-signer KEY, with --yes {progress.digest}")


def _line(waiting: Waiting, plan: Plan) -> str:
    count = f"{waiting.what}: {waiting.signed} of {waiting.threshold} signatures"
    if waiting.is_complete:
        return count
    names = {fingerprint(key): place for place, key in plan.keys.items()}
    return f"{count}; missing: {', '.join(names.get(key, f'sha256:{key}') for key in waiting.keys)}"


def _kind(place: str) -> str:
    if place.startswith(PUBLISHER):
        return "signing"
    if place in (PHASE, ONLINE):
        return _KINDS[CHANNEL]
    return _KINDS.get(place.rpartition(".")[2], _KINDS[CHANNEL])


def _report(arguments: argparse.Namespace, progress: Progress) -> None:
    waiting = [
        {"what": each.what, "signed": each.signed, "threshold": each.threshold, "keys": list(each.keys)}
        for each in progress.waiting
    ]
    report(
        arguments,
        path=arguments.folder,
        digest=progress.digest,
        missing=progress.plan.missing,
        waiting=waiting,
        published=progress.is_published,
    )
