"""What model and guard make of clean samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelkeep.guard.bound import binomial_tail
from modelkeep.guard_report.case import Case
from modelkeep.guard_report.shares import share
from modelkeep.guard_report.subject import Answer, Subject
from modelkeep.guard_report.tally import Tally

_BINS = 40


def clean_section(subject: Subject, cases: Sequence[Case]) -> dict[str, Any]:
    """Returns false alarms by stage, accuracy, and by rule how the scores are distributed."""
    tally = Tally(subject)
    for case in cases:
        tally.add(case.sample, case.answer)
    found, profile = tally.to_json(), subject.guard.profile
    stages = {name: alarms for name, alarms in found.pop("alarms").items() if name != "contract"}
    return {
        "samples": len(cases),
        "stages": {name: _held_against(alarms, profile.alpha) for name, alarms in stages.items()},
        **found,
        "any": _held_against(found["any"], min(1.0, profile.alpha * len(stages))),
        "accuracy": _accuracy(cases),
        "rules": _rules([case.answer for case in cases]),
    }


def _held_against(alarms: dict[str, Any], promised: float) -> dict[str, Any]:
    """Adds what was promised, and the chance of at least so many alarms if it were the true rate."""
    count, total = alarms["count"], alarms["of"]
    sure = count == 0 or promised >= 1
    chance = 1.0 if sure else max(0.0, 1 - binomial_tail(total, count - 1, promised))
    return {**alarms, "promised": promised, "chance": chance}


def _accuracy(cases: Sequence[Case]) -> dict[str, Any] | None:
    labels = [case.labels for case in cases if case.labels is not None]
    if not labels:
        return None
    return share(sum(case.right(case.answer) for case in cases), sum(map(len, labels)))


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
            "alarms": sum(not score <= threshold for score in found),
            **_histogram(found, threshold),
        }
        for (stage, rule, subject, threshold), found in scores.items()
        if rule != "form" and math.isfinite(threshold)
    ]


def _histogram(scores: Sequence[float], threshold: float) -> Mapping[str, Any]:
    finite = [score for score in scores if math.isfinite(score)]
    low, high = min([*finite, threshold]), max([*finite, threshold])
    counts, edges = np.histogram(finite, bins=_BINS, range=(low, high if high > low else low + 1))
    return {
        "counts": counts.tolist(),
        "low": float(edges[0]),
        "high": float(edges[-1]),
        "not_finite": len(scores) - len(finite),
    }
