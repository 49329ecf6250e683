"""`modelkeep extract`: decrypt a bundle to disk, which ends its protection."""

from __future__ import annotations

import argparse

from modelkeep.cli import objects as options
from modelkeep.cli.output import progress, say
from modelkeep.extraction import extract
from modelkeep.keys.identity import Identity


def run(arguments: argparse.Namespace) -> None:
    """Writes the plaintext files into a new folder."""
    options.demand_model(arguments)
    size = options.size_of(arguments.bundle)
    with Identity(arguments.key) as identity, progress("extracting", size) as advance:
        report = extract(
            arguments.bundle,
            arguments.output,
            identity=identity,
            verifier=options.verifier(arguments),
            unsafe_plaintext=arguments.unsafe_plaintext,
            grant_file=arguments.grant,
            posture=options.posture(arguments),
            progress=advance,
        )
    say(f"wrote {len(report.paths)} files of {report} in the clear into {arguments.output}")
