"""`modelkeep repo`: repositories of releases."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelkeep.bundle.access import Access
from modelkeep.bundle.bundle import Bundle
from modelkeep.cli import objects as options
from modelkeep.cli.output import human_size, progress, report, say
from modelkeep.dsse import EcdsaSigner
from modelkeep.errors import UsageError
from modelkeep.key_purpose import Purpose
from modelkeep.storage import read_small
from modelkeep.trust.envelope import LARGEST_FILE
from modelkeep.trust.signers import open_signer
from modelkeep.updates.phase import EVERYBODY, Phase
from modelkeep.updates.release_document import ReleaseDocument, Requires, parse_version
from modelkeep.updates.repository import phasing
from modelkeep.updates.repository.catalogue import Catalogue
from modelkeep.updates.repository.old_weights import seal_again
from modelkeep.updates.repository.publishing import Publication, Wishes, publish
from modelkeep.updates.repository.refreshing import refresh
from modelkeep.updates.repository.repository import Repository
from modelkeep.updates.repository.revoking import revoke
from modelkeep.updates.repository.withdrawing import withdraw

_BUNDLE_ID = re.compile(r"[0-9a-f]{32}")
_PERCENT = re.compile(r"(\d{1,3})(?:\.(\d))?%")


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    if arguments.action in ("init", "status"):
        from modelkeep.cli import repo_ceremony, repo_status

        {"init": repo_ceremony.run, "status": repo_status.run}[arguments.action](arguments)
        return
    actions: dict[str, Callable[[argparse.Namespace], None]] = {
        "publish": _publish,
        "promote": _promote,
        "phase": _phase,
        "withdraw": _withdraw,
        "revoke": _revoke,
        "refresh": _refresh,
    }
    actions[arguments.action](arguments)


def channel_signers(arguments: argparse.Namespace) -> list[EcdsaSigner]:
    """Returns the keys of roles that were named.

    Raises:
        UsageError: one is for something else, or a passphrase for several.
        KeyStoreError, StorageError: one cannot be used.
    """
    passphrase = options.passphrase(arguments)
    if passphrase is not None and len(arguments.signer) > 1:
        raise UsageError(
            "a passphrase goes with one key", hint="keep the keys of roles in stores, or one by one"
        )
    return [open_signer(uri, passphrase=passphrase, purpose=Purpose.CHANNEL) for uri in arguments.signer]


def _publish(arguments: argparse.Namespace) -> None:
    size = options.size_of(arguments.bundle)
    with progress("publishing", size) as advance:
        done = publish(
            Repository(arguments.folder),
            arguments.bundle,
            channel_signers(arguments),
            wishes=_wishes(arguments, _share(arguments.share), arguments.attempt),
            progress=advance,
        )
    _say_published(done)
    _report_publication(arguments, done)


def _promote(arguments: argparse.Namespace) -> None:
    repository = Repository(arguments.folder)
    model, bundle = _release(repository, arguments.release)
    _report_phase(arguments, phasing.promote(repository, model, channel_signers(arguments), bundle))


def _phase(arguments: argparse.Namespace) -> None:
    share = None if arguments.share is None else _share(arguments.share)
    if arguments.pause and arguments.resume:
        raise UsageError("--pause and --resume exclude each other")
    if share is None and not (arguments.pause or arguments.resume):
        raise UsageError("nothing is to be changed", hint="pass --share 10%, --pause or --resume")
    repository = Repository(arguments.folder)
    model, bundle = _release(repository, arguments.release)
    signers = channel_signers(arguments)
    phase = phasing.set_share(repository, model, signers, share, paused=arguments.pause, bundle=bundle)
    _report_phase(arguments, phase)


def _withdraw(arguments: argparse.Namespace) -> None:
    repository = Repository(arguments.folder)
    found = _document(repository, arguments.bundle)
    replacement = _replacement(arguments, repository, found)
    wishes, signers = _wishes(arguments, EVERYBODY), channel_signers(arguments)
    done = withdraw(repository, found.model, found.bundle, signers, replacement=replacement, wishes=wishes)
    say(f"withdrawn: {done.document.name}; devices that have it keep it until another release comes")
    facts: dict[str, Any] = {"replacement": None}
    if done.replacement is not None:
        _say_published(done.replacement)
        facts["replacement"] = release_facts(done.replacement.document)
    report(arguments, path=arguments.folder, **release_facts(done.document), **facts)


def _revoke(arguments: argparse.Namespace) -> None:
    repository = Repository(arguments.folder)
    found = _document(repository, arguments.bundle)
    trust = read_small(arguments.trust, LARGEST_FILE, "a trust file")
    signers = channel_signers(arguments)
    done = revoke(repository, found.model, found.bundle, trust, signers, stop_devices=arguments.stop_devices)
    say(f"revoked: {done.name}; it opens nowhere from the moment a device sees the trust file")
    report(arguments, path=arguments.folder, **release_facts(done))


def _refresh(arguments: argparse.Namespace) -> None:
    signers = channel_signers(arguments)
    renewed = refresh(Repository(arguments.folder), signers, interval=arguments.interval)
    say(f"signed anew: {', '.join(['timestamp', *renewed])}")
    report(arguments, path=arguments.folder, renewed=renewed)


def _replacement(
    arguments: argparse.Namespace, repository: Repository, withdrawn: ReleaseDocument
) -> str | Path | None:
    if arguments.again is None:
        if arguments.key or arguments.bundle_signer or arguments.recipient or arguments.admin:
            raise UsageError("-k, --bundle-signer, -r and --admin go with --again OLD.keep")
        return arguments.replacement  # type: ignore[no-any-return]
    if arguments.replacement is not None:
        raise UsageError("--again and --replacement exclude each other")
    if not (arguments.key and arguments.bundle_signer and arguments.output):
        raise UsageError("--again takes -k ADMIN, --bundle-signer PUBLISHER and -o NEW.keep as well")
    return _sealed_again(arguments, repository, withdrawn)


def _sealed_again(arguments: argparse.Namespace, repository: Repository, withdrawn: ReleaseDocument) -> Path:
    catalogue = Catalogue(repository.published())
    highest = catalogue.highest(withdrawn.model) or withdrawn.order
    with Access(arguments.key, repository.verifier(catalogue)) as access:
        return seal_again(
            Path(arguments.again),
            Path(arguments.output),
            access,
            model=withdrawn.model,
            epoch=highest.epoch + 1,
            family=catalogue.family_of(catalogue.role_of(withdrawn.model)),
            signer=open_signer(arguments.bundle_signer),
            to=arguments.recipient,
            admins=arguments.admin,
        )


def _wishes(arguments: argparse.Namespace, share: int, attempt: int = 0) -> Wishes:
    version = arguments.requires_modelkeep
    return Wishes(
        share=share,
        grants=arguments.grants,
        requires=Requires(
            modelkeep=None if version is None else parse_version(version),
            guard=arguments.requires_guard,
            memory=arguments.requires_memory,
        ),
        jump=arguments.jump,
        leased=arguments.leased,
        attempt=attempt,
    )


def _share(text: str) -> int:
    found = _PERCENT.fullmatch(text)
    share = int(found[1]) * 10 + int(found[2] or 0) if found else EVERYBODY + 1
    if share > EVERYBODY:
        raise UsageError(f"not a share of devices: {text!r:.40}", hint="write 10%, 0.5% or 100%")
    return share


def _release(repository: Repository, text: str) -> tuple[str, bytes | None]:
    """Returns model and bundle that somebody named: by a bundle, its id, or the model's id."""
    if _BUNDLE_ID.fullmatch(text) or Path(text).is_file():
        found = _document(repository, text)
        return found.model, found.bundle
    return text, None


def _document(repository: Repository, text: str) -> ReleaseDocument:
    if not _BUNDLE_ID.fullmatch(text):
        with Bundle(text) as opened:
            text = opened.unverified_manifest().bundle.hex()
    for document in repository.catalogue().all_releases():
        if document.bundle.hex() == text:
            return document
    raise UsageError(f"no release {text} is published here", hint="`modelkeep repo status` names them")


def _say_published(done: Publication) -> None:
    document = done.document
    copied = f"{human_size(done.copied)} copied" if done.copied else "its bundle was there"
    say(f"published {document.model}, release {document.order}, {copied}: {document.name}")
    if not done.grants:
        say("note: nobody can open it: it brings no grants along, and there is no --grants")


def _report_publication(arguments: argparse.Namespace, done: Publication) -> None:
    facts = release_facts(done.document) | {"source": arguments.bundle, "copied": done.copied}
    report(arguments, path=arguments.folder, **facts)


def _report_phase(arguments: argparse.Namespace, phase: Phase) -> None:
    for offer in phase.offers:
        state = ", paused" if offer.paused else ""
        say(f"{offer.release}: {offer.share / 10:g} % of devices{state}")
    report(arguments, path=arguments.folder, model=phase.model, offers=offers_of(phase))


def offers_of(phase: Phase) -> list[dict[str, Any]]:
    """Returns what is offered of a model, for machines."""
    return [
        {"document": each.release, "attempt": each.attempt, "share": each.share, "paused": each.paused}
        for each in phase.offers
    ]


def release_facts(document: ReleaseDocument) -> dict[str, Any]:
    """Returns what a release document says, for machines."""
    return {
        "model": document.model,
        "bundle": document.bundle.hex(),
        "epoch": document.order.epoch,
        "sealed_at": document.order.sealed_at,
        "document": document.name,
        "size": document.size,
        "attempt": document.attempt,
    }
