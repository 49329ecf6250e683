"""`modelkeep guard report`: how well a guard does."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from modelkeep.cli.output import print_json, progress, say
from modelkeep.cli.samples import read_samples
from modelkeep.errors import UsageError
from modelkeep.guard import GuardProfile
from modelkeep.guard_report import Settings, measure_guard, write_report
from modelkeep.guard_report.report import count_steps
from modelkeep.storage import refuse_overwrite


def run(arguments: argparse.Namespace) -> None:
    """Measures a guard and writes the report; what was measured before an interruption is kept."""
    target = Path(arguments.output)
    if target.suffix == ".json":
        raise UsageError("the page cannot end in .json, as the JSON beside it does", hint="-o report.html")
    for path in (target, target.with_suffix(".json")):
        refuse_overwrite(path, force=arguments.force)
    state = target.with_name(f"{target.name}.state")
    settings = Settings(
        arguments.faulty, arguments.attacked, arguments.tries, arguments.reach, arguments.seed
    )
    samples = list(read_samples(arguments))
    with progress("measuring", count_steps(samples, settings), "{:.0f} steps".format) as advance:
        result = measure_guard(
            samples,
            model=arguments.model,
            profile=GuardProfile.load(arguments.guard),
            entry=arguments.entry,
            settings=settings,
            state=state,
            progress=advance,
        )
    beside = write_report(result, target, force=arguments.force)
    with suppress(OSError):  # the report is there; what is left over does no harm
        state.unlink()
    say(f"measured {len(samples)} clean samples into {target} and {beside}")
    if arguments.json:
        print_json(result)
