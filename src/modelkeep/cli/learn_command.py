"""`modelkeep learn`: learn what inputs of a model usually look like."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from modelkeep.cli import objects as options
from modelkeep.cli.output import print_json, progress, say
from modelkeep.cli.samples import Sample, read_samples, size_of_samples, without
from modelkeep.errors import UsageError
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.trial import Trial
from modelkeep.keys.identity import Identity
from modelkeep.learning import learn, learn_at_site
from modelkeep.storage import refuse_overwrite

_NAMES = "--names x=speed,load"
_OF_MODEL = ("entry", "layout", "names", "outer", "embedding", "squeeze", "rule", "action")
_OF_SITE = ("key", "grant", "trust", "trust_root", "model_id")


def run(arguments: argparse.Namespace) -> None:
    """Learns a profile, or what is usual at a site, from sample files and writes it."""
    target = Path(arguments.output)
    _sort_out(arguments)
    # Said before the work, not after it.
    refuse_overwrite(target, force=arguments.force)
    trials: list[Trial] = []
    with progress("learning", size_of_samples(arguments)) as advance:
        samples = without(read_samples(arguments, advance), arguments.labels)
        learned = _at_site if arguments.at_site else _of_model
        profile = learned(arguments, samples, target, trials)
    say(
        f"learned from {profile.fitted} + {profile.calibrated} samples into {target}: "
        f"at most {100 * profile.total_alpha:.3g} % false alarms, of {_stages(profile)}"
    )
    _say_trial(trials[0])
    if arguments.json:
        print_json(
            {
                **_summary(profile, target),
                "source": arguments.model or arguments.at_site,
                "trial": asdict(trials[0]),
            }
        )


def _stages(profile: GuardProfile) -> str:
    first, *others = (stage.name for stage in profile.stages)
    return f"the stages {', '.join([first, *others])} together" if others else f"the stage {first}"


def _sort_out(arguments: argparse.Namespace) -> None:
    """Makes sure that the words are about one kind of learning."""
    given = [name for name in (_OF_MODEL if arguments.at_site else _OF_SITE) if getattr(arguments, name)]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        other = "--model, at the publisher's" if arguments.at_site else "--at-site, on a device"
        raise UsageError(f"{option} goes with {other}", hint="leave it out")
    if arguments.at_site and arguments.key is None:
        raise UsageError(
            "what a site learns is kept under the key of its device",
            hint="pass it with -k, and -t with whom to trust",
        )


def _at_site(
    arguments: argparse.Namespace, samples: Iterator[Sample], target: Path, trials: list[Trial]
) -> GuardProfile:
    with Identity(arguments.key) as identity:
        return learn_at_site(
            samples,
            arguments.at_site,
            identity=identity,
            verifier=options.verifier(arguments),
            target=target,
            grant_file=arguments.grant,
            alpha=arguments.alpha,
            delta=arguments.delta,
            force=arguments.force,
            tried=trials.append,
        )


def _of_model(
    arguments: argparse.Namespace, samples: Iterator[Sample], target: Path, trials: list[Trial]
) -> GuardProfile:
    rates = {name: getattr(arguments, name) for name in ("alpha", "delta")}
    profile = learn(
        samples,
        model=arguments.model,
        entry=arguments.entry,
        **{name: rate for name, rate in rates.items() if rate is not None},
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
    return profile


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
