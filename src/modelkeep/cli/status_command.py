"""`modelkeep status`: what is installed on this device, and how far it has come."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from modelkeep.cli.output import counted, print_json, show, time_of
from modelkeep.clock import Clock
from modelkeep.keys.identity import Identity
from modelkeep.updates.client.notes import FollowingNotes
from modelkeep.updates.status import InstalledStatus, Status, status
from modelkeep.updates.trial_notes import Notes


def run(arguments: argparse.Namespace) -> None:
    """Prints what the device remembers of what is at a place."""
    with Identity(arguments.key) as identity:
        found = status(arguments.path, identity=identity)
    if arguments.json:
        print_json(_facts(found))
        return
    show(f"{'model':10} {found.model}")
    for each in found.installations:
        _show(each)
    if found.tries:
        show(f"{'tries':10} {found.tries}")
    if found.last_trial is not None:
        show(f"{'last trial':10} {_words(found.last_trial)}")
    for bundle in found.quarantine:
        show(f"{'quarantine':10} {bundle}")
    if found.following is not None:
        _show_following(found.following)


def _show_following(notes: FollowingNotes) -> None:
    show(f"{'following':10} {notes.outcome.value}: {notes.reason}")
    show(f"{'since':10} {time_of(notes.at)}")
    if (stale := notes.stale_since(_now())) is not None:
        show(f"{'stale':10} since {time_of(stale)}: nothing is installed from there")


def _now() -> int:
    return Clock().for_ends()


def _show(each: InstalledStatus) -> None:
    show("")
    facts = {
        "slot": each.slot,
        "file": each.path,
        "stage": each.stage,
        "release": each.release,
        "epoch": each.epoch,
        "sealed": time_of(each.sealed_at) if each.sealed_at else None,
        "bundle": each.bundle,
        "signer": each.signer,
        "since": time_of(each.since),
        "until": None if each.not_after is None else time_of(each.not_after),
    }
    for name, value in facts.items():
        if value not in (None, ""):
            show(f"{name:10} {value}")


def _words(notes: Notes) -> str:
    if notes.boot is not None:
        return f"runs, or was cut off: bundle {notes.bundle.hex()}"
    end = "none" if notes.end is None else notes.end.value
    reason = f": {notes.reason}" if notes.reason else ""
    crashes = f", {counted(notes.crashed, 'crash')[:-1]}es" if notes.crashed > 1 else ""
    waits = f", {notes.postponed} times: waits until something changes" if notes.is_put_off else ""
    return f"{end}{reason}{crashes}{waits}, bundle {notes.bundle.hex()}"


def _facts(found: Status) -> dict[str, Any]:
    facts = asdict(found) | {"path": str(found.path)}
    facts["installations"] = [asdict(each) | {"path": str(each.path)} for each in found.installations]
    notes = found.last_trial
    if notes is not None:
        end = None if notes.end is None else notes.end.value
        tried = None if notes.tried is None else notes.tried.hex()
        facts["last_trial"] = asdict(notes) | {"bundle": notes.bundle.hex(), "end": end, "tried": tried}
    if found.following is not None:
        facts["following"] = found.following.to_json() | {"stale_since": found.following.stale_since(_now())}
    return facts
