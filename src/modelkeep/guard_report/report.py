"""The report: held-out samples, faults, attacks and time, step by step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelkeep._version import __version__
from modelkeep.contract import Contract
from modelkeep.errors import UsageError
from modelkeep.guard import Guard, GuardProfile, check
from modelkeep.guard_report.attacks import ATTACKS
from modelkeep.guard_report.clean import clean_section, latency_section
from modelkeep.guard_report.faults import faults_for
from modelkeep.guard_report.page import page
from modelkeep.guard_report.state import Result, Steps
from modelkeep.guard_report.subject import Sample, Subject
from modelkeep.guard_report.trials import attack_section, attackable, fault_section
from modelkeep.learning import running
from modelkeep.model import model_digest, read_model
from modelkeep.storage import write_file


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is tried.

    Attributes:
        faulty: samples that each fault is tried on.
        attacked: samples that each attack is tried on.
        tries: how often an attack may ask the model about one sample.
        reach: how far an attack may change an element, as a share of the input's range.
        seed: where chance starts; the same seed gives the same report, but for the time it took.
    """

    faulty: int = 100
    attacked: int = 20
    tries: int = 100
    reach: float = 8 / 255
    seed: int = 1

    def check(self) -> None:
        """Checks the numbers.

        Raises:
            UsageError: one that makes no sense.
        """
        if min(self.faulty, self.attacked, self.tries) < 1 or self.seed < 0 or not 0 < self.reach <= 1:
            raise UsageError("counts of a report must be positive, and the reach of attacks at most 1")


def measure_guard(
    samples: Sequence[Sample],
    *,
    model: str | os.PathLike[str],
    profile: GuardProfile,
    entry: str | None = None,
    settings: Settings | None = None,
    state: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> dict[str, Any]:
    """Returns how well a guard does, as a JSON value.

    Args:
        samples: clean inputs as the model takes them, others than the profile was learned from.
        model: file or folder, in the clear, that the profile was learned for.
        profile: what is usual, with the stages that are not off.
        entry: file within a folder that the runtime is handed.
        settings: how much is tried.
        state: file for results so far, which a later call with the same arguments takes up.
        progress: told the steps that are done, of `count_steps`.

    Raises:
        UsageError: no samples, another model, or samples that the model or the profile cannot take.
        StorageError: a file cannot be read or written.
        MalformedError: the model is damaged.
        RuntimeMissingError: no runtime for the model is installed.
    """
    settings = settings or Settings()
    settings.check()
    found = read_model(model, entry=entry)
    if model_digest(found) != profile.model:
        raise UsageError("the profile is for another model", hint="learn it for this one")
    _check_samples(samples, profile, found.contract)
    steps = Steps(state, _key(samples, profile, settings))
    with running(found) as runner:
        subject = Subject(runner, found.contract, Guard(profile), samples[0])
        try:
            return _sections(subject, samples, settings, steps, progress)
        finally:
            steps.save()


def count_steps(samples: Sequence[Sample], settings: Settings) -> int:
    """Returns about how many steps a report has."""
    return 2 + len(faults_for(np.dtype(np.float32))) + 2 * len(ATTACKS) * min(settings.attacked, len(samples))


def write_report(result: dict[str, Any], target: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Writes a report as a page, and beside it as JSON; returns where the JSON is.

    Raises:
        StorageError: cannot be written.
        UsageError: a file exists and `force` is not set.
    """
    beside = Path(target).with_suffix(".json")
    write_file(beside, json.dumps(result, indent=1, sort_keys=True, allow_nan=False).encode(), force=force)
    write_file(target, page(result).encode(), force=force)
    return beside


def _sections(
    subject: Subject,
    samples: Sequence[Sample],
    settings: Settings,
    steps: Steps,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    def step(name: str, work: Callable[[], Result]) -> Result:
        result = steps.do(name, work)
        progress(1)
        return result

    profile = subject.guard.profile
    return {
        "modelkeep": __version__,
        "model": profile.model.hex(),
        "alpha": profile.alpha,
        "delta": profile.delta,
        "settings": asdict(settings),
        "clean": step("clean", lambda: clean_section(subject, samples)),
        "faults": fault_section(subject, samples[: settings.faulty], settings.seed, step),
        "attacks": attack_section(subject, samples, settings, step) if attackable(subject, samples) else None,
        "latency": step("latency", lambda: latency_section(subject, samples)),
    }


def _check_samples(samples: Sequence[Sample], profile: GuardProfile, contract: Contract | None) -> None:
    if not samples:
        raise UsageError("no samples to report on", hint="pass clean inputs that were not learned from")
    for sample in samples:
        if contract is not None and (findings := check(contract, sample)):
            raise UsageError(f"a sample breaks the model's contract: {findings[0]}")
        for usual in profile.inputs:
            if fault := usual.layout.fault(sample.get(usual.layout.name)):
                raise UsageError(f"input {usual.layout.name!r} of a sample: {fault}")


def _key(samples: Sequence[Sample], profile: GuardProfile, settings: Settings) -> str:
    digest = hashlib.sha256(profile.to_bytes() + repr((__version__, settings)).encode())
    for sample in samples:
        for name, value in sorted(sample.items()):
            digest.update(repr((name, value.dtype.str, value.shape)).encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
