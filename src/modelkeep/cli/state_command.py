"""`modelkeep state`: what this device remembers, and the way to let go of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelkeep.bundle.rollback import seen_trust
from modelkeep.cli import objects as options
from modelkeep.cli.output import counted, print_json, report, say, show, time_of
from modelkeep.device.contents import Contents, ModelState
from modelkeep.device.obeying import newest_of_each
from modelkeep.device.state import DeviceState
from modelkeep.errors import RollbackError, UsageError
from modelkeep.keys.identity import Identity, no_device
from modelkeep.storage import read_as
from modelkeep.trust.envelope import LARGEST_FILE


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    {"show": _show, "forget": _forget, "retire": _retire}[arguments.action](arguments)


def _show(arguments: argparse.Namespace) -> None:
    with _state(arguments.key) as state:
        facts = _facts(state)
    if arguments.json:
        print_json(facts)
        return
    for name in ("device", "path", "generation", "counter", "is_newest"):
        show(f"{name:<11} {_words(name, facts[name])}")
    for model in facts["models"]:
        for line in _lines(model):
            show(line)
    for entry in facts["trust"]:
        show(
            f"trust       file {entry['number']}, signed by {entry['threshold']} of {len(entry['keys'])}, "
            f"time {time_of(entry['time'])}, for {entry['voucher']}"
        )
    if facts["adopted_by"] is not None:
        show(f"adopted     counts for {', '.join(facts['adopted_by'])} alone")


def _words(name: str, value: Any) -> str:
    match name, value:
        case "counter", None:
            return "none: this key's store does not count, and an old state is not told apart"
        case "is_newest", bool():
            return "yes" if value else "no: an older state was put back, or another one is lost"
    return str(value)


def _forget(arguments: argparse.Namespace) -> None:
    verifier = options.verifier(arguments)
    verified = read_as(arguments.ticket, LARGEST_FILE, "a ticket", verifier.verify_ticket)
    with _state(arguments.key) as state:
        before = newest_of_each(state.look_at_file())
        after = newest_of_each(state.obey(verified, seen_trust(verifier)))
        device, path = state.device.hex(), str(state.path)
    say(f"done: {len(verified.ticket.acts)} of {len(verified.ticket.acts)} acts of the ticket")
    for model, order in sorted(set(before) - set(after)):
        say(f"{model}: release {order} does not count any more")
    gone = [_release(model, *order) for model, order in sorted(set(before) - set(after))]
    report(arguments, device=device, path=path, acts=verified.ticket.to_json()["acts"], gone=gone)


def _retire(arguments: argparse.Namespace) -> None:
    if not arguments.yes:
        raise UsageError("what is installed would never open again", hint="pass --yes if that is meant")
    with _state(arguments.key) as state:
        count, device, path, counts = state.retire(), state.device.hex(), str(state.path), state.number
    say(f"{counted(count, 'installation')} forgotten; to do: modelkeep keys delete {arguments.key} --yes")
    if counts is None:
        say("note: nothing counts here, so that a copy of the old state and of the key would open them still")
    report(arguments, device=device, path=path, forgotten=count)


@contextmanager
def _state(key: str) -> Iterator[DeviceState]:
    with Identity(key) as identity:
        state = identity.device_state()
        if state is None:
            raise no_device(identity.type)
        with state:
            yield state


def _facts(state: DeviceState) -> dict[str, Any]:
    contents = state.look_at_file() if state.has_begun else Contents()
    return {
        "device": state.device.hex(),
        "path": str(state.path),
        "generation": contents.generation.hex(),
        "counter": state.number,
        "is_newest": _is_newest(state),
        "adopted_by": None if contents.adopted_by is None else sorted(map(bytes.hex, contents.adopted_by)),
        "models": [_model(name, each) for name, each in contents.models.items()],
        "newest": [_release(name, *order) for name, order in newest_of_each(contents)],
        "trust": [
            {
                "number": each.number,
                "threshold": each.threshold,
                "keys": sorted(key.hex() for key in each.keys),
                "time": each.time,
                "voucher": each.voucher.hex(),
            }
            for each in contents.trust
        ],
    }


def _is_newest(state: DeviceState) -> bool:
    try:
        state.look()
    except RollbackError:
        return False
    return True


def _model(name: str, state: ModelState) -> dict[str, Any]:
    return {
        "model": name,
        "marks": [
            _release(name, *mark.order)
            | {"bundle": mark.bundle.hex(), "signer": str(mark.signer), "voucher": mark.voucher.hex()}
            for mark in state.marks
        ],
        "installations": [
            {"id": key.hex(), "stage": each.stage.value, "bundle": each.mark.bundle.hex()}
            for key, each in state.installations.items()
        ],
        "quarantine": [{"bundle": each.bundle.hex(), "attempt": each.attempt} for each in state.quarantine],
    }


def _release(model: str, epoch: int, sealed_at: int) -> dict[str, Any]:
    return {"model": model, "epoch": epoch, "sealed_at": sealed_at}


def _lines(model: dict[str, Any]) -> list[str]:
    name = model["model"]
    marks = [
        f"{name}  installed {mark['epoch']}@{mark['sealed_at']}, bundle {mark['bundle']}, "
        f"by {mark['signer']}, for {mark['voucher']}"
        for mark in model["marks"]
    ]
    stages = [
        f"{name}  {each['stage']} {each['id']}, bundle {each['bundle']}" for each in model["installations"]
    ]
    gone = [f"{name}  not tried again: {each['bundle']}" for each in model["quarantine"]]
    return marks + stages + gone
