"""Faults and attacks on some samples: how many are wrong, how many the guard sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from modelkeep.guard_report.attacks import ATTACKS, Task
from modelkeep.guard_report.faults import Fault, faults_for
from modelkeep.guard_report.search import Search
from modelkeep.guard_report.state import Result
from modelkeep.guard_report.subject import Sample, Subject

Step = Callable[[str, Callable[[], Result]], Result]


class Effort(Protocol):
    """How much is tried; see `Settings`."""

    @property
    def attacked(self) -> int:
        """Samples that each attack is tried on."""

    @property
    def tries(self) -> int:
        """How often an attack may ask."""

    @property
    def reach(self) -> float:
        """Share of the range that an element may change."""

    @property
    def seed(self) -> int:
        """Where chance starts."""


def attackable(subject: Subject, samples: Sequence[Sample]) -> bool:
    """Returns whether the model gives scores of classes, without which nothing can be attacked."""
    return subject.ask(samples[0]).classes is not None


def fault_section(subject: Subject, samples: Sequence[Sample], seed: int, step: Step) -> list[dict[str, Any]]:
    """Returns for each fault how often it changes the prediction, and the share of alarms by stage."""
    kind = samples[0][subject.layout.name].dtype
    rows = []
    for name, fault in faults_for(kind).items():
        work = partial(_fault, subject, samples, fault, _random(seed, name))
        rows.append({"fault": name, **step(f"fault {name}", work)})
    return rows


def attack_section(
    subject: Subject, samples: Sequence[Sample], effort: Effort, step: Step
) -> list[dict[str, Any]]:
    """Returns for each attack the shares that win, that win unseen, and that win when made for the guard."""
    rows = []
    for name in ATTACKS:
        plain, adaptive = (
            _outcomes(subject, samples, name, effort, step, adaptive=adaptive) for adaptive in (False, True)
        )
        rows.append(
            {
                "attack": name,
                "samples": len(plain),
                "won": _share(plain, "won"),
                "unseen": _share(plain, "passed"),
                "adaptive": _share(adaptive, "passed"),
                "tries": float(np.mean([each["tries"] for each in adaptive])),
            }
        )
    return rows


def _outcomes(
    subject: Subject, samples: Sequence[Sample], name: str, effort: Effort, step: Step, *, adaptive: bool
) -> list[Result]:
    kind = "adaptive" if adaptive else "plain"
    results = []
    for place in range(min(effort.attacked, len(samples))):
        work = partial(_attack, subject, samples, place, name, effort, adaptive=adaptive)
        results.append(step(f"attack {name} {kind} {place}", work))
    return results


def _fault(
    subject: Subject, samples: Sequence[Sample], fault: Fault, random: np.random.Generator
) -> dict[str, Any]:
    seen = dict.fromkeys(("contract", "signal", "model"), 0)
    any_stage = different = 0
    for sample in samples:
        values = sample[subject.layout.name]
        answer = subject.ask(subject.changed(sample, fault(values, subject.layout, random)))
        for stage in answer.alarms:
            seen[stage] += 1
        any_stage += bool(answer.alarms)
        different += not _same(answer.classes, subject.ask(sample).classes)
    shares = {stage: count / len(samples) for stage, count in seen.items()}
    return {**shares, "any": any_stage / len(samples), "changed": different / len(samples)}


def _attack(
    subject: Subject, samples: Sequence[Sample], place: int, name: str, effort: Effort, *, adaptive: bool
) -> Result:
    sample, layout = samples[place], subject.layout
    clean = subject.ask(sample)
    if clean.classes is None:
        return {"won": False, "passed": False, "tries": 0}
    task = Task(
        sample[layout.name].astype(np.float64),
        _other(subject, samples, place, clean.classes),
        layout,
        effort.reach * (layout.high - layout.low),
        _random(effort.seed, f"{name} {place}"),
    )
    search = Search(subject, sample, ATTACKS[name], task, adaptive=adaptive)
    return search.run(clean.classes, effort.tries).to_json()


def _other(subject: Subject, samples: Sequence[Sample], place: int, classes: Any) -> Any:
    """Returns the input of the next sample of another class and the same shape, or None."""
    own = samples[place][subject.layout.name]
    for other in (*samples[place + 1 :], *samples[:place]):
        values = other[subject.layout.name]
        if values.shape != own.shape:
            continue
        if subject.ask({**samples[place], subject.layout.name: values}).lead(classes) < 0:
            return values.astype(np.float64)
    return None


def _same(one: Any, other: Any) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)


def _share(outcomes: Sequence[Result], what: str) -> float:
    return float(np.mean([outcome[what] for outcome in outcomes]))


def _random(seed: int, name: str) -> np.random.Generator:
    # Each step has its own chance, so that a report that was interrupted ends the same.
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return np.random.default_rng(list(digest[:16]))
