"""`modelkeep golden`: record what a model makes of known inputs."""

from __future__ import annotations

import argparse
from pathlib import Path

from modelkeep.cli.output import counted, report, say
from modelkeep.cli.samples import read_samples
from modelkeep.golden import Golden
from modelkeep.learning import running
from modelkeep.model import read_model
from modelkeep.storage import refuse_overwrite, write_file


def run(arguments: argparse.Namespace) -> None:
    """Runs the plain model on each sample and writes the cases."""
    target = Path(arguments.output)
    refuse_overwrite(target, force=arguments.force)
    with running(read_model(arguments.model, entry=arguments.entry)) as runner:
        golden = Golden.record(runner.run, read_samples(arguments))
    write_file(target, golden.to_bytes(), force=arguments.force)
    say(f"recorded {counted(len(golden.cases), 'golden case')} into {target}")
    report(arguments, path=str(target), source=arguments.model, cases=len(golden.cases))
