"""`modelkeep run`: open a bundle in memory and run the model once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from modelkeep.arrays import array_sizes, read_arrays, write_arrays
from modelkeep.cli import objects as options
from modelkeep.cli.array_words import facts_of, in_a_line
from modelkeep.cli.contract_words import in_words
from modelkeep.cli.output import progress, report, say, show
from modelkeep.errors import UsageError
from modelkeep.inputs import refuse_unread
from modelkeep.keys.identity import Identity
from modelkeep.opening import open_session
from modelkeep.opening_report import Report
from modelkeep.session import Session
from modelkeep.stored_values import as_arrays

Value = TypeVar("Value")


def run(arguments: argparse.Namespace) -> None:
    """Opens, checks the inputs, runs, wipes."""
    files = [_named(spec) for spec in arguments.input]
    sizes = _joined(array_sizes(*file) for file in files)
    size = options.size_of(arguments.bundle)
    with Identity(arguments.key) as identity, progress("opening", size) as advance:
        session = open_session(
            arguments.bundle,
            identity=identity,
            verifier=options.verifier(arguments),
            grant_file=arguments.grant,
            posture=options.posture(arguments),
            entry=arguments.entry,
            runtime=arguments.runtime,
            progress=advance,
            isolation=options.isolation(arguments),
        )
    with session:
        refuse_unread(sizes, session.contract)
        # Opening takes a while, in which somebody can put other files there.
        inputs = _joined(read_arrays(*file, sizes) for file in files)
        _tell_inputs(session, inputs)
        outputs = session.run(inputs)
        options.say_which_model(arguments, session.report.model)
        for note in session.report.notes:
            say(f"note: {note}")
        _deliver(arguments, session, outputs)


def _tell_inputs(session: Session, given: dict[str, Any]) -> None:
    """Says what the model takes to whoever gives it nothing."""
    wanted = () if session.contract is None else session.contract.inputs
    if given or all(tensor.optional for tensor in wanted):
        return
    for tensor in wanted:
        say(f"input {tensor.name}: {in_words(tensor)}")
    raise UsageError("the model needs inputs", hint=f"pass -i {wanted[0].name}=FILE.npy")


def _named(spec: str) -> tuple[str, str | None]:
    """Returns path and name of what ``NAME=FILE`` or ``FILE`` stands for."""
    name, separator, path = spec.partition("=")
    return (path, name) if separator else (spec, None)


def _joined(parts: Iterable[Mapping[str, Value]]) -> dict[str, Value]:
    inputs: dict[str, Value] = {}
    for found in parts:
        if inputs.keys() & found.keys():
            raise UsageError(f"input {min(inputs.keys() & found.keys())!r} is given twice")
        inputs |= found
    return inputs


def _deliver(arguments: argparse.Namespace, session: Session, outputs: dict[str, Any]) -> None:
    if arguments.output is not None:
        write_arrays(arguments.output, outputs, force=arguments.force)
    stored = dict(as_arrays(outputs))
    if arguments.json:
        facts = {name: facts_of(array) for name, array in stored.items()}
        opened = _opened(session.report)
        report(arguments, path=arguments.output, source=arguments.bundle, outputs=facts, **opened)
        return
    for name, array in list(stored.items())[:_MOST_SHOWN]:
        show(f"{name}: {in_a_line(array)}")
    if len(stored) > _MOST_SHOWN:
        show(f"and {len(stored) - _MOST_SHOWN} more")


def _opened(report: Report) -> dict[str, Any]:
    return {
        "bundle": report.bundle,
        "epoch": report.epoch,
        "installed": report.installed,
        "model": report.model,
        "not_after": report.not_after,
        "notes": list(report.notes),
        "release": report.release,
        "signer": report.signer,
    }


# A classifier gives a map for each row.
_MOST_SHOWN = 40
