"""The report: held-out samples, faults, attacks and time, step by step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep._version import __version__
from modelkeep.errors import UsageError
from modelkeep.guard import Guard, GuardProfile
from modelkeep.guard.faults import MOST_FAULTS
from modelkeep.guard_report.attack_trials import AttackTrials
from modelkeep.guard_report.attacks import ATTACKS
from modelkeep.guard_report.case import Case, check_samples, make_cases
from modelkeep.guard_report.clean import clean_section
from modelkeep.guard_report.fault_trials import fault_section
from modelkeep.guard_report.latency import latency_section
from modelkeep.guard_report.page import page
from modelkeep.guard_report.quiet import quiet
from modelkeep.guard_report.sample_sizes import sample_sizes
from modelkeep.guard_report.settings import Settings
from modelkeep.guard_report.state import Result, State, Step
from modelkeep.guard_report.subject import Sample, Subject
from modelkeep.learning import running
from modelkeep.model import model_digest, read_model
from modelkeep.opening_report import Report
from modelkeep.session import Session
from modelkeep.storage import write_file

Labels = Sequence[NDArray[Any]]
Progress = Callable[[int], None]


def measure_guard(
    samples: Sequence[Sample],
    *,
    model: str | os.PathLike[str],
    profile: GuardProfile,
    labels: Labels | None = None,
    entry: str | None = None,
    settings: Settings | None = None,
    state: State | None = None,
    progress: Progress = lambda _count: None,
) -> dict[str, Any]:
    """Returns how well a guard does on a plain model, as a JSON value.

    Args:
        samples: clean inputs as the model takes them, others than the profile was learned from.
        model: file or folder, in the clear, that the profile was learned for.
        profile: what is usual, with the stages that are not off.
        labels: for each call an array [samples of the call] of whole numbers, the true classes; or None.
        entry: file within a folder that the runtime is handed.
        settings: how much is tried.
        state: results so far, which a later call with the same arguments takes up.
        progress: told the steps that are done, of `count_steps`.

    Raises:
        UsageError: no samples, another model, or samples or labels that the model or the profile cannot
            take.
        StorageError: a file cannot be read or written.
        MalformedError: the model is damaged.
        RuntimeMissingError: no runtime for the model is installed.
    """
    settings = settings or Settings()
    settings.check()
    found = read_model(model, entry=entry)
    if model_digest(found) != profile.model:
        raise UsageError("the profile is for another model", hint="learn it for this one")
    check_samples(samples, profile, found.contract)
    with running(found) as runner:
        subject = Subject(runner.run, found.contract, Guard(profile), samples[0])
        cases = make_cases(subject, samples, labels)
        state, key = state or State(), _key(cases, profile, settings, f"plain {found.entry}")
        sections = _sections(subject, cases, settings, _step(state, key, progress))
    size = sum(source.size for source in found.sources.values())
    return {"source": {"kind": "plain"}, "size": size, **sections}


def measure_session(
    samples: Sequence[Sample],
    session: Session,
    *,
    labels: Labels | None = None,
    settings: Settings | None = None,
    state: State | None = None,
    progress: Progress = lambda _count: None,
    runtime: str | None = None,
) -> dict[str, Any]:
    """Returns how well the guard of a sealed model does, as a JSON value.

    The model stays where it is: in the memory of the session, or in its isolated process. Profile,
    contract and actions are those of the bundle. `session.run` is asked about the same inputs, faulty
    ones included: its counters count them, its log does not show them.

    Args:
        samples: see `measure_guard`; so are `labels`, `settings`, `state` and `progress`.
        session: an open session.
        runtime: the adapter that was asked for, where a format has several; a state is for one of them.

    Raises:
        UsageError: see `measure_guard`; or the bundle holds no guard profile.
        StorageError: the state cannot be written.
        RuntimeCrashedError: the isolated process has ended.
    """
    settings = settings or Settings()
    settings.check()
    if session.guard is None:
        raise UsageError(
            "this bundle holds no guard profile",
            hint="learn one with `modelkeep learn` and seal the model with --guard",
        )
    guard, bundle = session.guard, session.report.bundle
    check_samples(samples, guard.profile, session.contract)
    subject = Subject(session.run_unchecked, session.contract, guard, samples[0], session.run)
    # What is asked here on purpose is no news for the log of the device.
    with quiet("modelkeep.guard"):
        cases = make_cases(subject, samples, labels)
        state, key = state or State(), _key(cases, guard.profile, settings, f"sealed {bundle} {runtime}")
        sections = _sections(subject, cases, settings, _step(state, key, progress))
    return {"source": _source(session.report, runtime), "size": session.report.size, **sections}


def count_steps(samples: int, settings: Settings) -> int:
    """Returns the most steps that a report on so many samples has."""
    return 2 + MOST_FAULTS + 2 * len(ATTACKS) * min(settings.attacked, samples)


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


def _sections(subject: Subject, cases: Sequence[Case], settings: Settings, step: Step) -> dict[str, Any]:
    profile = subject.guard.profile
    clean = step("clean", lambda: clean_section(subject, cases))
    faults = fault_section(subject, cases[: settings.faulty], settings.seed, step)
    attacks = AttackTrials(subject, cases, settings).rows(step)
    return {
        "modelkeep": __version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "model": profile.model.hex(),
        "alpha": profile.alpha,
        "delta": profile.delta,
        "fitted": profile.fitted,
        "calibrated": profile.calibrated,
        "actions": {stage.name: stage.action for stage in profile.stages},
        "settings": asdict(settings),
        "clean": clean,
        "faults": faults,
        "attacks": attacks,
        "sample_sizes": sample_sizes(clean["scores"], faults, profile, settings.seed),
        "callers": _callers([clean, *faults, *(attacks or [])]) if subject.call is not None else None,
        "latency": step("latency", lambda: latency_section(subject, cases)),
    }


def _callers(rows: Sequence[Result]) -> dict[str, int]:
    return {what: sum(row["callers"][what] for row in rows) for what in ("asked", "differ")}


def _step(state: State, key: str, progress: Progress) -> Step:
    state.begin(key)

    def step(name: str, work: Callable[[], Result]) -> Result:
        result = state.do(name, work)
        progress(1)
        return result

    return step


def _source(report: Report, runtime: str | None) -> dict[str, Any]:
    return {
        "kind": "sealed",
        "model": report.model,
        "release": report.release,
        "epoch": report.epoch,
        "bundle": report.bundle,
        "signer": report.signer,
        "installed": report.installed,
        "isolated": report.hardening is not None,
        "runtime": runtime,
    }


def _key(cases: Sequence[Case], profile: GuardProfile, settings: Settings, source: str) -> str:
    digest = hashlib.sha256(profile.to_bytes() + repr((__version__, settings, source)).encode())
    for case in cases:
        for name, value in sorted(case.sample.items()):
            digest.update(repr((name, value.dtype.str, value.shape)).encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        digest.update(repr(None if case.labels is None else case.labels.tolist()).encode())
    return digest.hexdigest()
