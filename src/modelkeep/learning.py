"""Learning a guard profile: clean samples -> model -> what is usual -> thresholds."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelkeep.bundle.access import Access, IdentityLike, unlock
from modelkeep.contract import Contract
from modelkeep.errors import UsageError
from modelkeep.finding import Finding
from modelkeep.guard import ContractCheck
from modelkeep.guard.calibration import Calibration
from modelkeep.guard.fit import Fit
from modelkeep.guard.plan import Plan
from modelkeep.guard.profile import GuardProfile
from modelkeep.guard.profile_json import parse_profile
from modelkeep.guard.sample import Measurement, measure
from modelkeep.guard.site import adapt, at_site
from modelkeep.guard.trial import Trial, try_profile
from modelkeep.model import Model, model_digest, read_model
from modelkeep.runtimes.registry import LoadedModel, Runner, open_runtime
from modelkeep.site_file import save_site
from modelkeep.trust.bundle_verifier import BundleVerifier

_LOG = logging.getLogger("modelkeep.learning")

Arrays = Mapping[str, NDArray[Any]]

# How many first samples tell the scale of vectors, and how many faults are tried on; memory for either.
_EARLY = 256
_TRIED = 64
_MOST_BYTES = 64 * 2**20
_LARGEST_OUTER = 1000


def log_warnings(trial: Trial) -> None:
    """Logs what whoever seals a profile should know of it, to `modelkeep.learning`."""
    for warning in trial.warnings():
        _LOG.warning("%s", warning)


def learn(
    samples: Iterable[Arrays],
    *,
    model: str | os.PathLike[str],
    alpha: float = 0.01,
    delta: float = 0.05,
    layouts: Mapping[str, str] | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    embedding: str | None = None,
    model_rules: Collection[str] | None = None,
    squeezers: Collection[str] = (),
    outer: float | None = None,
    entry: str | None = None,
    progress: Callable[[int], None] = lambda _count: None,
    tried: Callable[[Trial], None] = log_warnings,
) -> GuardProfile:
    """Learns what inputs of a model usually look like, and tries what the profile catches.

    Every other call goes into what is usual, the rest set the thresholds; a batch counts as many
    samples. Of samples only features are kept, and some whole ones for the trial.

    Args:
        samples: for each call of the model, its inputs by name; clean, and like those of later use.
        model: file or folder, as it will be sealed.
        alpha: highest rate of false alarms of each stage.
        delta: chance that a stage's rate is higher all the same.
        layouts: axes by input name where they cannot be guessed, for example ``{"x": "NCHW"}``; ``"none"``
            leaves an input to the contract alone.
        names: what people call the channels or columns of an input; findings use them.
        embedding: output that exposes what the last layer sees, for the rule ``distance``.
        model_rules: of the stage ``model``: ``margin``, ``confidence``, ``energy`` and ``distance``;
            None for ``margin`` and, with an embedding, ``distance``. More rules share the same rate.
        squeezers: for the stage ``squeeze``: ``mean``, ``median``, ``depth-4`` and ``depth-5`` of images and
            series. Each runs the model once more, here and at every later call.
        outer: lets sites learn what is usual there (see `adapt`), up to inputs that are so many times as
            surprising as the threshold; None to let none.
        entry: file within a folder that the runtime is handed.
        progress: told the calls of the model that are done.
        tried: told what the profile catches; by default its warnings are logged.

    Raises:
        UsageError: too few samples (the message says how many are needed), or unusable ones.
        StorageError: the model cannot be read.
        MalformedError: the model is damaged.
        RuntimeMissingError: no runtime for the model is installed.
    """
    found = read_model(model, entry=entry)
    early, later = _early(iter(samples))
    make_plan = partial(
        Plan.make,
        contract=found.contract,
        layouts=layouts,
        names=names,
        early=early,
        embedding=embedding,
        model_rules=model_rules,
        squeezers=squeezers,
    )
    with running(found) as runner:
        measured = _measure(chain(early, later), found, runner, make_plan, progress)
        calibration, whole = _two_phases(measured)
    profile = _with_outer(calibration.finish(model_digest(found), alpha=alpha, delta=delta), outer)
    tried(try_profile(profile, whole, calibration.signal_scores()))
    return profile


def learn_at_site(
    samples: Iterable[Arrays],
    path: str | os.PathLike[str],
    *,
    identity: IdentityLike,
    verifier: BundleVerifier,
    target: str | os.PathLike[str],
    grant_file: str | os.PathLike[str] | None = None,
    alpha: float | None = None,
    delta: float | None = None,
    force: bool = False,
    tried: Callable[[Trial], None] = log_warnings,
) -> GuardProfile:
    """Learns what is usual at a site, within the outer bound of a sealed model, and keeps it for this device.

    To be started by the operator, with the site as it should be: whoever chooses the samples chooses what is
    usual. The model is not decrypted. The file is what `open` takes as `site`.

    Args:
        samples: inputs of the site by name, one call after the other.
        path: the bundle or installation.
        identity: the key of this device, or its URI.
        verifier: whom to trust, and which model and release to accept.
        target: file to write.
        grant_file: look for the grant there instead of in the bundle and its sidecar.
        alpha: highest rate of false alarms of the stage ``signal``; the publisher's without.
        delta: chance that it is higher all the same; the publisher's without.
        force: replace an existing file.
        tried: told what the guard catches at this site; by default its warnings are logged.

    Raises:
        UsageError: no profile, or one that allows no sites; too few samples, or some beyond the bound.
        KeepError: the bundle cannot be opened; see `modelkeep.errors`.
    """
    with Access(identity, verifier, grant_file, ()) as access:
        with unlock(path, access) as bundle:
            inner = bundle.inner_manifest()
            if inner.guard is None:
                raise UsageError(
                    "this bundle holds no guard profile", hint="the publisher seals one with `seal --guard`"
                )
            profile, contract = parse_profile(inner.guard), inner.choose(None).contract
        checked, whole = _kept_whole(_checked(samples, contract))
        site = adapt(profile, checked, alpha=alpha, delta=delta)
        save_site(site, target, profile=profile, identity=access.identity, force=force)
    tried(try_profile(at_site(profile, site), whole, learned=site))
    return site


def _kept_whole(samples: Iterator[Arrays]) -> tuple[Iterator[Arrays], list[Arrays]]:
    """Returns the samples, and a list that takes up some of them as they pass."""
    whole: list[Arrays] = []

    def passing() -> Iterator[Arrays]:
        for sample in samples:
            _keep(whole, sample)
            yield sample

    return passing(), whole


def _keep(whole: list[Arrays], sample: Arrays) -> None:
    if len(whole) < _TRIED and _size([*whole, sample]) <= _MOST_BYTES:
        whole.append(sample)


def _checked(samples: Iterable[Arrays], contract: Contract | None) -> Iterator[Arrays]:
    """Yields samples that keep the contract, as plain dictionaries."""
    check = None if contract is None else ContractCheck(contract)
    for place, sample in enumerate(samples, start=1):
        inputs = dict(sample)
        if check is not None and (findings := check.findings(inputs)):
            raise broken_contract(place, findings[0])
        yield inputs


def _with_outer(profile: GuardProfile, outer: float | None) -> GuardProfile:
    if outer is None:
        return profile
    if not 1 <= outer <= _LARGEST_OUTER:
        raise UsageError(f"the outer bound must lie between 1 and {_LARGEST_OUTER} times the threshold")
    return replace(profile, outer=outer * max(profile.stages[0].thresholds.values()))


def _two_phases(measured: Iterator[tuple[Plan, Measurement, Arrays]]) -> tuple[Calibration, list[Arrays]]:
    """Returns the second phase with its samples, and some of these as they are."""
    first = next(measured, None)
    if first is None:
        raise UsageError("no samples to learn from", hint="pass clean inputs as the model takes them")
    plan, measurement, _ = first
    fit = Fit(plan)
    fit.add(measurement)
    kept: list[Measurement] = []
    whole: list[Arrays] = []
    for place, (_, each, sample) in enumerate(measured, start=1):
        if not place % 2:
            fit.add(each)
            continue
        kept.append(each)
        _keep(whole, sample)
    calibration = Calibration(fit.freeze())
    for each in kept:
        calibration.add(each)
    return calibration, whole


def _early(samples: Iterator[Arrays]) -> tuple[list[Arrays], Iterator[Arrays]]:
    """Returns the first samples, as many as fit into some memory, and the others."""
    early: list[Arrays] = []
    while len(early) < _EARLY and _size(early) < _MOST_BYTES and (sample := next(samples, None)) is not None:
        early.append(sample)
    return early, samples


def _size(samples: Sequence[Arrays]) -> int:
    return sum(np.asarray(value).nbytes for sample in samples for value in sample.values())


def _measure(
    samples: Iterable[Arrays],
    model: Model,
    runner: Runner,
    make_plan: Callable[[Arrays, Arrays], Plan],
    progress: Callable[[int], None],
) -> Iterator[tuple[Plan, Measurement, Arrays]]:
    plan = None
    for inputs in _checked(samples, model.contract):
        outputs = runner.run(inputs)
        if plan is None:
            plan = make_plan(inputs, outputs)
        yield plan, measure(plan, inputs, outputs, runner.run), inputs
        progress(1)


def broken_contract(place: int, finding: Finding) -> UsageError:
    """Returns the error for the sample at `place`, counted from 1."""
    hint = "name the labels with --labels" if finding.code == "unexpected" else "leave it out, or mend it"
    return UsageError(f"sample {place} breaks the model's contract: {finding}", hint=hint)


@contextmanager
def running(model: Model) -> Iterator[Runner]:
    """Yields the plain model, ready to run.

    Raises:
        UsageError: no file of the model is one that a runtime could load.
        StorageError: the model cannot be read.
        RuntimeMissingError: no runtime for the model is installed.
    """
    if model.entry is None:
        raise UsageError("the model has no file that a runtime could load", hint="say which with --entry")
    adapter = open_runtime(model.format)
    files, whole = {}, {}
    for path, source in model.sources.items():
        content = bytearray(source.size)
        with source.open() as opened:
            opened.read_into(memoryview(content), 0)
        if adapter.wants_bytes(model.entry, path):
            whole[path] = bytes(content)
        files[path] = memoryview(whole.get(path, content))
    runner = adapter.load(LoadedModel(model.format, model.entry, files, whole), {})
    try:
        yield runner
    finally:
        runner.close()
