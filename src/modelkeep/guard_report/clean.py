"""What the guard makes of clean samples, and how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from modelkeep.guard.bound import binomial_tail
from modelkeep.guard_report.subject import Answer, Sample, Subject

_BINS = 40
_TIMED = 50


def clean_section(subject: Subject, samples: Sequence[Sample]) -> dict[str, Any]:
    """Returns false alarms by stage, and by rule how the scores of clean samples are distributed."""
    answers = [subject.ask(sample) for sample in samples]
    profile = subject.guard.profile
    stages = [stage.name for stage in profile.stages if stage.action != "off"]
    return {
        "samples": len(samples),
        "stages": {name: _alarms(name, answers, profile.alpha) for name in stages},
        "rules": _rules(answers),
    }


def latency_section(subject: Subject, samples: Sequence[Sample]) -> dict[str, Any]:
    """Returns the median and the 95 % quantile of some calls, in microseconds."""
    timed = samples[:_TIMED]
    outputs = [subject.runner.run(sample) for sample in timed]
    # Readings are what a check costs, without logging alarms of these samples.
    return {
        "signal": _quantiles(_times(lambda sample: subject.guard.readings(sample, {}), timed)),
        "inference": _quantiles(_times(subject.runner.run, timed)),
        "model": _quantiles(_times(lambda made: subject.guard.readings({}, made), outputs)),
    }


def _alarms(stage: str, answers: Sequence[Answer], alpha: float) -> dict[str, Any]:
    count, total = sum(stage in answer.alarms for answer in answers), len(answers)
    return {
        "alarms": count,
        "rate": count / total,
        "promised": alpha,
        "chance": _chance(total, count, alpha),
    }


def _chance(total: int, count: int, rate: float) -> float:
    """Returns the chance of at least `count` alarms if the true rate is `rate`."""
    if count == 0:
        return 1.0
    return max(0.0, 1 - binomial_tail(total, count - 1, rate))


def _rules(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    scores: dict[tuple[str, str, str, float], list[float]] = {}
    for answer in answers:
        for reading in answer.readings:
            place = (reading.stage, reading.rule, reading.subject, reading.threshold)
            scores.setdefault(place, []).append(reading.score)
    return [
        {
            "stage": stage,
            "rule": rule,
            "subject": subject,
            "threshold": threshold,
            **_histogram(found, threshold),
        }
        for (stage, rule, subject, threshold), found in scores.items()
        if rule != "form" and math.isfinite(threshold)
    ]


def _histogram(scores: Sequence[float], threshold: float) -> Mapping[str, Any]:
    finite = [score for score in scores if math.isfinite(score)]
    low, high = min([*finite, threshold]), max([*finite, threshold])
    counts, edges = np.histogram(finite, bins=_BINS, range=(low, high if high > low else low + 1))
    return {"counts": counts.tolist(), "low": float(edges[0]), "high": float(edges[-1])}


def _times(work: Callable[[Sample], object], calls: Sequence[Sample]) -> list[float]:
    times = []
    for call in calls:
        start = time.perf_counter()
        work(call)
        times.append(1e6 * (time.perf_counter() - start))
    return times


def _quantiles(times: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(times)), "slow": float(np.quantile(times, 0.95))}
