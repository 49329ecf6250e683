"""How long each part of a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from modelkeep.guard import ContractCheck, Guard
from modelkeep.guard_report.case import Case
from modelkeep.guard_report.subject import Sample, Subject

_TIMED = 50


def latency_section(subject: Subject, cases: Sequence[Case]) -> dict[str, Any]:
    """Returns the median and the 95 % quantile of some calls, in microseconds, part by part.

    `whole call` is what callers of a session wait for.
    """
    samples = [case.sample for case in cases[:_TIMED]]
    parts: dict[str, list[float]] = {}
    contract = subject.contract
    if contract is not None:
        parts["contract"] = _times(ContractCheck(contract).findings, samples)
    parts["inference"] = _times(subject.run, samples)
    for name, alone in _stages(subject.guard):
        # Readings are what a check costs, without logging alarms of these samples.
        parts[name] = [_reading_time(subject, alone, sample) for sample in samples]
    if subject.call is not None:
        parts["whole call"] = _times(subject.verdict, samples)
    return {name: _quantiles(times) for name, times in parts.items()}


def _stages(guard: Guard) -> list[tuple[str, Guard]]:
    """Returns for each stage a guard that has no other."""
    active = [stage.name for stage in guard.profile.stages if stage.action != "off"]
    return [
        (name, Guard(guard.profile.with_actions(**{each: "off" for each in active if each != name})))
        for name in active
    ]


def _reading_time(subject: Subject, guard: Guard, sample: Sample) -> float:
    outputs = subject.run(sample)
    return _time(lambda: subject.readings(guard, sample, outputs))


def _times(work: Callable[[Sample], object], samples: Sequence[Sample]) -> list[float]:
    return [_time(partial(work, sample)) for sample in samples]


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - start)


def _quantiles(times: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(times)), "slow": float(np.quantile(times, 0.95))}
