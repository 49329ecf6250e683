"""`modelkeep state`: what this device remembers, and the way to let go of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelkeep.cli import objects as options
from modelkeep.cli.output import print_json, say, show
from modelkeep.device.contents import Contents, ModelState
from modelkeep.device.obeying import newest_of_each
from modelkeep.device.state import DeviceState
from modelkeep.errors import RollbackError
from modelkeep.keys.identity import Identity, no_device
from modelkeep.storage import read_small
from modelkeep.trust.envelope import LARGEST_FILE


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    {"show": _show, "forget": _forget}[arguments.action](arguments)


def _show(arguments: argparse.Namespace) -> None:
    with _state(arguments.key) as state:
        facts = _facts(state)
    if arguments.json:
        print_json(facts)
        return
    for name in ("device", "file", "generation", "counter", "counts", "time"):
        show(f"{name:<11} {facts[name]}")
    for model in facts["models"]:
        for line in _lines(model):
            show(line)
    for entry in facts["trust"]:
        show(f"trust       file {entry['number']} of {entry['threshold']} of {len(entry['keys'])} roots")


def _forget(arguments: argparse.Namespace) -> None:
    verified = options.verifier(arguments).verify_ticket(
        read_small(arguments.ticket, LARGEST_FILE, "a ticket")
    )
    with _state(arguments.key) as state:
        before, after = newest_of_each(state.look_at_file()), newest_of_each(state.obey(verified))
    say(f"done: {len(verified.ticket.acts)} of {len(verified.ticket.acts)} acts of the ticket")
    for model, order in sorted(set(before) - set(after)):
        say(f"{model}: release {order} does not count any more")


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
        "file": str(state.path),
        "generation": contents.generation.hex(),
        "counter": state.number,
        "counts": _counts(state),
        "time": contents.time,
        "models": [_model(name, each) for name, each in contents.models.items()],
        "newest": [_release(name, *order) for name, order in newest_of_each(contents)],
        "trust": [
            {
                "number": each.number,
                "threshold": each.threshold,
                "keys": sorted(key.hex() for key in each.keys),
            }
            for each in contents.trust
        ],
    }


def _counts(state: DeviceState) -> bool:
    try:
        state.look()
    except RollbackError:
        return False
    return True


def _model(name: str, state: ModelState) -> dict[str, Any]:
    return {
        "model": name,
        "marks": [
            _release(name, *mark.order) | {"bundle": mark.bundle.hex(), "signer": str(mark.signer)}
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
        f"{name}  installed {mark['epoch']}@{mark['sealed_at']}, bundle {mark['bundle']}, by {mark['signer']}"
        for mark in model["marks"]
    ]
    stages = [
        f"{name}  {each['stage']} {each['id']}, bundle {each['bundle']}" for each in model["installations"]
    ]
    gone = [f"{name}  not tried again: {each['bundle']}" for each in model["quarantine"]]
    return marks + stages + gone
