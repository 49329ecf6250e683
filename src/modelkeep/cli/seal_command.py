"""`modelkeep seal`: seal a model into a bundle."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.contract_words import entries_in_words
from modelkeep.cli.enclosures import golden, guard
from modelkeep.cli.inspect_command import signer_of
from modelkeep.cli.output import counted, human_size, named_with_admins, progress, report, say, terms_in_words
from modelkeep.cli.suite_hint import advise_suite
from modelkeep.cli.upstream import upstream
from modelkeep.errors import UsageError
from modelkeep.grants.constraints import Constraints
from modelkeep.grants.recipient_text import short_name
from modelkeep.manifest import Manifest
from modelkeep.model import Model, from_stream
from modelkeep.sealing import Draft, seal
from modelkeep.storage import refuse_overwrite


def run(arguments: argparse.Namespace) -> None:
    """Seals, or says what would be sealed."""
    if arguments.model == "-":
        _from_standard_input(arguments)
        return
    if arguments.name is not None:
        raise UsageError("--name is for standard input", hint="files and folders have names already")
    target = Path(arguments.output or _beside(arguments.model))
    _seal(arguments, arguments.model, arguments.model, target)


def _from_standard_input(arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        raise UsageError("a model from standard input needs a file name", hint="pass --name model.onnx")
    target = Path(arguments.output or _beside(arguments.name))
    # Before anything is read: a pipe cannot be read twice.
    refuse_overwrite(target, force=arguments.force)
    with from_stream(arguments.name, sys.stdin.buffer, target.parent, format=arguments.format) as model:
        _seal(arguments, model, arguments.name, target)


def _seal(arguments: argparse.Namespace, source: str | Model, name: str, target: Path) -> None:
    draft = seal(
        source,
        model=options.model_id(arguments, name),
        entry=arguments.entry,
        format=arguments.format,
        guard=guard(arguments.guard),
        golden=golden(arguments),
        upstream=upstream(arguments),
        **options.sealing_options(arguments),
    )
    for note in draft.notes:
        say(f"note: {note}")
    advise_suite(arguments)
    if not arguments.dry_run:
        save(arguments, draft, target, name)
        return
    _describe(draft, target)
    report(arguments, path=str(target), source=name, **_facts(draft, draft.recipe.manifest))


def save(arguments: argparse.Namespace, draft: Draft, target: Path, source: str) -> None:
    """Seals `draft` into `target` and says how that went."""
    start = time.monotonic()
    with progress("sealing", draft.size) as advance:
        draft.save(target, force=arguments.force, progress=advance)
    seconds = time.monotonic() - start
    rate = human_size(draft.size / max(seconds, 1e-6))
    model = draft.recipe.manifest.model
    say(f"sealed {model}, {human_size(draft.size)} in {seconds:.2f} s ({rate}/s), into {target}")
    recipients, admins = _recipients(draft)
    count = counted(len(recipients) + len(admins), "recipient")
    say(f"for {count}: {named_with_admins(recipients, admins)}{terms_in_words(_terms(draft))}")
    with Bundle(target) as bundle:
        manifest, signer = bundle.unverified_manifest(), signer_of(bundle)
    say(f"epoch {manifest.epoch}, signed by {signer or 'nobody'}")
    report(
        arguments,
        path=str(target),
        source=source,
        bundle=manifest.bundle.hex(),
        signer=signer,
        **_facts(draft, manifest),
    )


def _recipients(draft: Draft) -> tuple[list[str], list[str]]:
    """Returns what those are called who may open, and those who may grant besides."""
    opening, admins = (
        [short_name(each.recipient) for each in draft.recipe.grantees if each.constraints.delegate is asked]
        for asked in (False, True)
    )
    return opening, admins


def _terms(draft: Draft) -> Constraints:
    # All of a bundle's grants have the same, but for who may pass them on.
    return replace(draft.recipe.grantees[0].constraints, delegate=False)


def _beside(model: str) -> str:
    # Its ending included: a folder often holds the same model in several formats.
    name = Path(model).resolve().name
    if not name:
        raise UsageError("no name for the bundle", hint="pass -o FILE")
    return f"{name}.keep"


def _describe(draft: Draft, target: Path) -> None:
    say(f"would seal {draft.recipe.manifest.model} into {target}:")
    for path, source in draft.model.sources.items():
        say(f"  {path}  {human_size(source.size)}")
    for line in entries_in_words(draft.model.entries):
        say(f"  {line}")
    if draft.model.guard is not None:
        say("  with a guard profile")
    if draft.model.golden is not None:
        say(f"  with {counted(draft.model.golden.cases, 'golden case')}")
    for grantee in draft.recipe.grantees:
        role = "admin" if grantee.constraints.delegate else "may open"
        say(f"  {grantee.recipient.type} {grantee.recipient.device_id or '(no device id)'}: {role}")


def _facts(draft: Draft, manifest: Manifest) -> dict[str, object]:
    recipients, admins = _recipients(draft)
    return {
        "admins": admins,
        "constraints": _terms(draft).to_json(),
        "epoch": manifest.epoch,
        "files": {path: source.size for path, source in draft.model.sources.items()},
        "format": draft.model.format,
        "model": manifest.model,
        "recipients": recipients,
        "release": manifest.release,
        "sealed_at": manifest.sealed_at,
        "size": draft.size,
        "upstream": manifest.upstream or None,
    }
