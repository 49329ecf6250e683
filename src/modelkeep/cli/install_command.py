"""`modelkeep install`: keep a bundle under a key of this device alone."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from modelkeep.cli import objects as options
from modelkeep.cli.output import human_size, progress, report, say
from modelkeep.cli.sources import source
from modelkeep.keys.identity import Identity
from modelkeep.updates.installation import install


def run(arguments: argparse.Namespace) -> None:
    """Verifies everything once and writes the installation."""
    options.demand_model(arguments)
    size = options.size_of(arguments.bundle)
    start = time.monotonic()
    with Identity(arguments.key) as identity, progress("installing", size) as advance:
        done = install(
            source(arguments),
            arguments.output,
            identity=identity,
            verifier=options.verifier(arguments),
            grant_file=arguments.grant,
            posture=options.posture(arguments),
            force=arguments.force,
            progress=advance,
        )
    seconds = time.monotonic() - start
    if done.damage is not None:
        say(f"what counts in the other slot does not open any more: {done.damage}")
    verb = "staged" if done.slot else "installed"
    if done.slot is None and done.path.parent == Path(arguments.output):
        verb = "counts already, and all of it decrypts:"
    size_of_model = human_size(done.size)
    say(f"{verb} {done}: {size_of_model} in {seconds:.2f} s, signed by {done.signer}, into {done.path}")
    if done.kept:
        say(f"{human_size(done.kept)} were there from an earlier try")
    if done.slot is not None:
        say(f"it counts after its trial: modelkeep trial {arguments.output}")
    report(
        arguments,
        path=str(done.path),
        source=arguments.bundle,
        bundle=done.bundle,
        model=done.model,
        signer=done.signer,
        size=done.size,
        slot=done.slot,
        fetched=done.fetched,
        kept=done.kept,
        damage=done.damage,
        before=None if done.before is None else done.before._asdict(),
        **done.now._asdict(),
    )
