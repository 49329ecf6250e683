"""`modelkeep run`: open a bundle in memory and run the model once."""

from __future__ import annotations

import argparse
from typing import Any

from modelkeep.arrays import read_arrays, write_arrays
from modelkeep.cli import objects as options
from modelkeep.cli.output import print_json, progress, say
from modelkeep.errors import UsageError
from modelkeep.keys.identity import Identity
from modelkeep.session import Session, open_session


def run(arguments: argparse.Namespace) -> None:
    """Opens, checks the inputs, runs, wipes."""
    inputs = _inputs(arguments.input)
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
        outputs = session.run(inputs)
        options.say_which_model(arguments, session.report.model)
        for note in session.report.notes:
            say(f"note: {note}")
        _deliver(arguments, session, outputs)


def _inputs(specs: list[str]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for spec in specs:
        name, separator, path = spec.partition("=")
        found = read_arrays(path if separator else spec, name if separator else None)
        if inputs.keys() & found.keys():
            raise UsageError(f"input {min(inputs.keys() & found.keys())!r} is given twice")
        inputs |= found
    return inputs


def _deliver(arguments: argparse.Namespace, session: Session, outputs: dict[str, Any]) -> None:
    if arguments.output is not None:
        write_arrays(arguments.output, outputs, force=arguments.force)
    for name, value in outputs.items():
        say(f"{name}: {_kind(value)}")
    if arguments.json:
        print_json(
            {
                "model": session.report.model,
                "notes": list(session.report.notes),
                "outputs": {name: _facts(value) for name, value in outputs.items()},
            }
        )


def _kind(value: Any) -> str:
    facts = _facts(value)
    return f"{facts['dtype']} {tuple(facts['shape'])}" if "dtype" in facts else str(facts["type"])


def _facts(value: Any) -> dict[str, Any]:
    # Some models put out sequences and maps instead of tensors.
    if not hasattr(value, "dtype"):
        return {"type": type(value).__name__}
    return {"dtype": str(value.dtype), "shape": list(value.shape)}
