"""`modelkeep install`: keep a bundle under a key of this device alone."""

from __future__ import annotations

import argparse
import time

from modelkeep.cli import objects as options
from modelkeep.cli.output import human_size, progress, say
from modelkeep.cli.sources import source
from modelkeep.keys.identity import Identity
from modelkeep.updates.installation import install


def run(arguments: argparse.Namespace) -> None:
    """Verifies everything once and writes the installation."""
    options.demand_model(arguments)
    size = options.size_of(arguments.bundle)
    start = time.monotonic()
    with Identity(arguments.key) as identity, progress("installing", size) as advance:
        report = install(
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
    done = "installed" if report.slot is None else "staged"
    say(f"{done} {report}: {human_size(report.size)} in {seconds:.2f} s, into {report.path}")
    if report.kept:
        say(f"{human_size(report.kept)} were there from an earlier try")
    if report.slot is not None:
        say(f"it counts after its trial: modelkeep trial {arguments.output}")
