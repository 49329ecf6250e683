"""Faults on some samples: what the model makes of them, and which the guard sees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from modelkeep.guard.faults import Fault, faults_for
from modelkeep.guard_report.case import Case
from modelkeep.guard_report.chance import generator
from modelkeep.guard_report.over_time import Watch
from modelkeep.guard_report.shares import share
from modelkeep.guard_report.state import Step
from modelkeep.guard_report.subject import ACCEPTED, Subject
from modelkeep.guard_report.tally import Tally


def fault_section(subject: Subject, cases: Sequence[Case], seed: int, step: Step) -> list[dict[str, Any]]:
    """Returns for each fault how often it changes the prediction, and the share of alarms by stage."""
    kind = cases[0].sample[subject.layout.name].dtype
    rows = []
    for name, fault in faults_for(kind, subject.layout).items():
        work = partial(_fault, subject, cases, fault, generator(seed, name))
        rows.append({"fault": name, **step(f"fault {name}", work)})
    return rows


def _fault(
    subject: Subject, cases: Sequence[Case], fault: Fault, random: np.random.Generator
) -> dict[str, Any]:
    tally, watch, scores = Tally(subject), Watch(subject.guard.profile), []
    changed = unseen = wrong_and_accepted = right = answered = 0
    for case in cases:
        values = case.sample[subject.layout.name]
        with np.errstate(all="ignore"):
            sample = subject.changed(case.sample, fault(values, subject.layout, random))
        answer = subject.ask(sample)
        tally.add(sample, answer)
        watch.add(sample)
        scores.append(answer.surprise)
        differs = case.differs(answer)
        changed += differs
        unseen += differs and not answer.alarms
        wrong_and_accepted += differs and answer.verdict == ACCEPTED
        right += case.right(answer)
        answered += 0 if answer.classes is None else len(answer.classes)
    labelled = cases[0].labels is not None
    return {
        "samples": len(cases),
        "over_time": watch.to_json(),
        "scores": scores,
        **tally.to_json(),
        "changed": share(changed, len(cases)),
        "accepted": share(wrong_and_accepted, len(cases)),
        "unseen": share(unseen, len(cases)),
        "accuracy": share(right, answered) if labelled else None,
    }
