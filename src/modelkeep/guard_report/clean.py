"""What model and guard make of clean samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelkeep.guard.bound import binomial_tail
from modelkeep.guard_report.case import Case
from modelkeep.guard_report.over_time import Watch
from modelkeep.guard_report.shares import share
from modelkeep.guard_report.subject import Answer, Subject
from modelkeep.guard_report.tally import Tally

# Enough for a million scores.
_STEPS = 53


def clean_section(subject: Subject, cases: Sequence[Case]) -> dict[str, Any]:
    """Returns false alarms by stage, accuracy, and by rule how the scores are distributed."""
    tally, watch = Tally(subject), Watch(subject.guard.profile)
    for case in cases:
        tally.add(case.sample, case.answer)
        watch.add(case.sample)
    found, profile = tally.to_json(), subject.guard.profile
    stages = {name: alarms for name, alarms in found.pop("alarms").items() if name != "contract"}
    return {
        "samples": len(cases),
        "stages": {name: _held_against(alarms, profile.alpha) for name, alarms in stages.items()},
        **found,
        "any": _held_against(found["any"], min(1.0, profile.alpha * len(stages))),
        "accuracy": _accuracy(cases),
        "over_time": watch.to_json(),
        "scores": [case.answer.surprise for case in cases],
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
            **_ranks(found),
        }
        for (stage, rule, subject, threshold), found in scores.items()
        if rule != "form" and math.isfinite(threshold)
    ]


def _ranks(scores: Sequence[float]) -> Mapping[str, Any]:
    """Returns pairs of a share of all scores and the score that it reaches, finer towards the highest."""
    ordered = np.sort([score for score in scores if math.isfinite(score)])[::-1]
    places = (
        sorted({min(len(ordered), math.ceil(1.3**step)) for step in range(_STEPS)}) if len(ordered) else []
    )
    ranks = [[place / len(scores), float(ordered[place - 1])] for place in places]
    return {"ranks": ranks, "samples": len(scores), "not_finite": len(scores) - len(ordered)}
