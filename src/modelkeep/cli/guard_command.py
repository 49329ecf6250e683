"""`modelkeep guard`: how well a guard does, on a sealed model or on a plain one; what happened on devices."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from modelkeep.cli import objects as options
from modelkeep.cli.guard_status import status_lines
from modelkeep.cli.output import print_json, progress, say, show
from modelkeep.cli.samples import Labels, Sample, read_samples, with_labels
from modelkeep.errors import UsageError
from modelkeep.guard import GuardProfile, Telemetry
from modelkeep.guard_report import Settings, State, measure_guard, measure_session, write_report
from modelkeep.guard_report.report import count_steps
from modelkeep.keys.identity import Identity
from modelkeep.opening import open_session
from modelkeep.storage import refuse_overwrite

_OF_SEALED = (
    "key", "grant", "trust", "trust_root", "minimum_trust_number", "second_trust", "time_authority",
    "model_id", "minimum_epoch", "maximum_age", "require_installed", "unsafe_unsigned", "runtime", "isolated",
)  # fmt: skip
_OF_PLAIN = ("guard", "entry")
_ARRAYS = (".npy", ".npz")
_WAYS = "pass BUNDLE, -k and -t for a sealed model; --model and --guard for a plain one"


def run(arguments: argparse.Namespace) -> None:
    """Does what the arguments ask for."""
    {"report": _report, "status": _status}[arguments.action](arguments)


def _status(arguments: argparse.Namespace) -> None:
    """Says what devices counted, all of them together."""
    telemetry = Telemetry.merged(map(Telemetry.load, arguments.telemetry))
    if arguments.json:
        print_json({**telemetry.to_json(), "shifted": [each.name for each in telemetry.shifted()]})
        return
    for line in status_lines(telemetry):
        show(line)


def _report(arguments: argparse.Namespace) -> None:
    """Measures a guard and writes the report; what was measured before an interruption is kept."""
    _sort_out(arguments)
    target = Path(arguments.output)
    if target.suffix == ".json":
        raise UsageError("the page cannot end in .json, as the JSON beside it does", hint="-o report.html")
    for path in (target, target.with_suffix(".json")):
        refuse_overwrite(path, force=arguments.force)
    # Unlocked before the work and held until the report is there: two reports in one place would mix.
    with State(target.with_name(f"{target.name}.state")) as state:
        samples, labels = with_labels(read_samples(arguments), arguments.labels)
        result = _measured(arguments, samples, labels, state)
        beside = write_report(result, target, force=arguments.force)
        state.remove()
    say(f"measured {len(samples)} clean samples into {target} and {beside}")
    if arguments.json:
        print_json(result)


def _sort_out(arguments: argparse.Namespace) -> None:
    """Makes sure that the words are about one kind of model, and finds the samples among them."""
    is_plain = arguments.model is not None
    strangers = [name for name in (_OF_SEALED if is_plain else _OF_PLAIN) if getattr(arguments, name)]
    if is_plain and arguments.trust_threshold != 1:
        strangers.append("trust_threshold")
    if strangers:
        option = f"--{strangers[0].replace('_', '-')}"
        kind = "sealed" if is_plain else "plain"
        raise UsageError(f"{option} is for a {kind} model, which this is not", hint=_WAYS)
    if is_plain:
        if arguments.guard is None:
            raise UsageError("which profile is to be measured?", hint=_WAYS)
        arguments.samples = [*([arguments.bundle] if arguments.bundle else []), *arguments.samples]
    elif arguments.key is None:
        raise UsageError("neither -k for a sealed model nor --model for a plain one", hint=_WAYS)
    elif arguments.bundle is None or arguments.bundle.endswith(_ARRAYS):
        raise UsageError("the bundle comes first, then the samples", hint=_WAYS)


def _measured(
    arguments: argparse.Namespace, samples: list[Sample], labels: Labels | None, state: State
) -> dict[str, Any]:
    settings = Settings(
        arguments.faulty, arguments.attacked, arguments.tries, arguments.reach, arguments.seed
    )
    settings.check()
    measure = _sealed if arguments.model is None else _plain
    with progress("measuring", count_steps(len(samples), settings), "{:.0f} steps".format) as advance:
        return measure(arguments, samples, labels=labels, settings=settings, state=state, progress=advance)


def _plain(arguments: argparse.Namespace, samples: list[Sample], **how: Any) -> dict[str, Any]:
    profile = GuardProfile.load(arguments.guard)
    return measure_guard(samples, model=arguments.model, profile=profile, entry=arguments.entry, **how)


def _sealed(arguments: argparse.Namespace, samples: list[Sample], **how: Any) -> dict[str, Any]:
    with Identity(arguments.key) as identity:
        session = open_session(
            arguments.bundle,
            identity=identity,
            verifier=options.verifier(arguments),
            grant_file=arguments.grant,
            runtime=arguments.runtime,
            isolation=options.isolation(arguments),
        )
    with session:
        options.say_which_model(arguments, session.report.model)
        for note in session.report.notes:
            say(f"note: {note}")
        return measure_session(samples, session, runtime=arguments.runtime, **how)
