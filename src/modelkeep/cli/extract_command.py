"""`modelkeep extract`: decrypt a bundle to disk, which ends its protection."""

from __future__ import annotations

import argparse

from modelkeep.cli import objects as options
from modelkeep.cli.output import counted, progress, report, say
from modelkeep.extraction import extract
from modelkeep.keys.identity import Identity


def run(arguments: argparse.Namespace) -> None:
    """Writes the plaintext files into a new folder."""
    options.demand_model(arguments)
    size = options.size_of(arguments.bundle)
    with Identity(arguments.key) as identity, progress("extracting", size) as advance:
        done = extract(
            arguments.bundle,
            arguments.output,
            identity=identity,
            verifier=options.verifier(arguments),
            unsafe_plaintext=arguments.unsafe_plaintext,
            grant_file=arguments.grant,
            posture=options.posture(arguments),
            progress=advance,
        )
    who = f"signed by {done.signer or 'nobody'}"
    say(f"wrote {counted(len(done.paths), 'file')} of {done} in the clear, {who}, into {arguments.output}")
    report(
        arguments,
        path=arguments.output,
        source=arguments.bundle,
        bundle=done.bundle,
        model=done.model,
        signer=done.signer,
        files=[str(path.relative_to(arguments.output)) for path in done.paths],
        **done.release._asdict(),
    )
