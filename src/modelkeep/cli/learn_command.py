"""`modelkeep learn`: learn what inputs of a model usually look like."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from modelkeep.cli.output import print_json, progress, say
from modelkeep.cli.samples import read_samples, size_of_samples, without
from modelkeep.errors import UsageError
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.trial import Trial
from modelkeep.learning import learn
from modelkeep.storage import refuse_overwrite

_NAMES = "--names x=speed,load"


def run(arguments: argparse.Namespace) -> None:
    """Learns a profile from sample files and writes it."""
    target = Path(arguments.output)
    # Said before the work, not after it.
    refuse_overwrite(target, force=arguments.force)
    trials: list[Trial] = []
    with progress("learning", size_of_samples(arguments)) as advance:
        profile = learn(
            without(read_samples(arguments, advance), arguments.labels),
            model=arguments.model,
            entry=arguments.entry,
            alpha=arguments.alpha,
            delta=arguments.delta,
            layouts=_pairs(arguments.layout, "--layout image=NCHW"),
            embedding=arguments.embedding,
            model_rules=arguments.rule,
            squeezers=arguments.squeeze,
            names={name: value.split(",") for name, value in _pairs(arguments.names, _NAMES).items()},
            outer=arguments.outer,
            tried=trials.append,
        )
    profile = profile.with_actions(**_pairs(arguments.action, "--action signal=flag"))
    profile.save(target, force=arguments.force)
    say(
        f"learned from {profile.fitted} + {profile.calibrated} samples into {target}: "
        f"at most {100 * profile.total_alpha:.3g} % false alarms, of the stages "
        f"{', '.join(stage.name for stage in profile.stages)} together"
    )
    _say_trial(trials[0])
    if arguments.json:
        print_json({**_summary(profile, target), "source": arguments.model, "trial": asdict(trials[0])})


def _say_trial(trial: Trial) -> None:
    for fault in trial.faults:
        say(f"  {fault.name}: {fault.caught} of {fault.tried} faulty samples are alarms")
    for warning in trial.warnings():
        say(f"warning: {warning}")


def _pairs(specs: list[str], example: str) -> dict[str, str]:
    pairs = {}
    for spec in specs:
        name, separator, value = spec.partition("=")
        if not separator or name in pairs:
            raise UsageError(f"{spec!r} is not NAME=VALUE, or is given twice", hint=f"for example {example}")
        pairs[name] = value
    return pairs


def _summary(profile: GuardProfile, target: Path) -> dict[str, object]:
    return {
        "path": str(target),
        "model_digest": profile.model.hex(),
        "fitted": profile.fitted,
        "calibrated": profile.calibrated,
        "alpha": profile.alpha,
        "delta": profile.delta,
        "stages": {stage.name: stage.action for stage in profile.stages},
    }
