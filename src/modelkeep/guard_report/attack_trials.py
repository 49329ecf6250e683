"""Attacks on some samples: how many win, and how many of those the guard sees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from modelkeep.guard_report.attacks import ATTACKS, Attack, Task, Values
from modelkeep.guard_report.case import Case
from modelkeep.guard_report.chance import generator
from modelkeep.guard_report.search import Found, Search
from modelkeep.guard_report.settings import Settings
from modelkeep.guard_report.shares import share
from modelkeep.guard_report.state import Result, Step
from modelkeep.guard_report.subject import ACCEPTED, Classes, Subject
from modelkeep.guard_report.tally import Tally

# What an attack found for one sample is carried over to this many others.
_CARRIED = 5


class AttackTrials:
    """Attacks on the first samples of which the model is right; on the first ones, without labels.

    Args:
        subject: model and guard.
        cases: clean samples.
        settings: how much is tried.
    """

    def __init__(self, subject: Subject, cases: Sequence[Case], settings: Settings) -> None:
        self._subject, self._cases, self._settings = subject, cases, settings
        self._attacked = _attacked(cases, settings.attacked)
        self._others: dict[int, Values | None] = {}

    def rows(self, step: Step) -> list[dict[str, Any]] | None:
        """Returns for each attack the shares that win, that win unseen, and that win when made for the guard.

        None for a model that gives no scores of classes, which nothing here can attack.
        """
        if self._cases[0].answer.classes is None:
            return None
        return [self._row(name, step) for name in ATTACKS]

    def _row(self, name: str, step: Step) -> dict[str, Any]:
        plain, adaptive = (
            [
                step(f"attack {name} {kind} {place}", partial(self._attack, name, place, kind))
                for place in self._attacked
            ]
            for kind in ("plain", "adaptive")
        )
        return {
            "attack": name,
            "samples": len(self._attacked),
            "won": _share(plain, "won"),
            "accepted": _share(plain, "accepted"),
            "unseen": _share(plain, "unseen"),
            "adaptive": _share(adaptive, "unseen"),
            **self._seen([each for each in plain if each["won"]]),
            "tries": {"plain": _mean(plain), "adaptive": _mean(adaptive)},
            "carried": {
                "won": _carried(plain, "won"),
                "unseen": _carried(plain, "unseen"),
                "adaptive": _carried(adaptive, "unseen"),
            },
            "callers": {
                what: sum(each["callers"][what] for each in (*plain, *adaptive))
                for what in ("asked", "differ")
            },
        }

    def _seen(self, won: Sequence[Result]) -> dict[str, Any]:
        """Returns the shares of alarms among the inputs that won."""
        counts = {stage: sum(stage in each["alarms"] for each in won) for stage in self._subject.stages}
        return {
            "alarms": {stage: share(count, len(won)) for stage, count in counts.items()},
            "any": share(sum(bool(each["alarms"]) for each in won), len(won)),
        }

    def _attack(self, name: str, place: int, kind: str) -> Result:
        case, layout, attack = self._cases[place], self._subject.layout, ATTACKS[name]
        task = Task(
            case.sample[layout.name].astype(np.float64),
            self._other(place),
            layout,
            self._settings.reach * (layout.high - layout.low),
            generator(self._settings.seed, f"{name} {place}"),
        )
        search = Search(self._subject, case.sample, attack, task, adaptive=kind == "adaptive")
        found = search.run(case.truth, self._settings.tries)
        result: Result = {"won": found is not None, "tries": search.tries, **self._outcome(case, found)}
        return result | {"carried": self._carry(attack, place, search, found)}

    def _outcome(self, case: Case, found: Found | None) -> Result:
        if found is None:
            callers = {"asked": 0, "differ": 0}
            return {"accepted": False, "unseen": False, "alarms": [], "callers": callers}
        tally = Tally(self._subject)
        tally.add(self._subject.changed(case.sample, found.values), found.answer)
        return {
            "accepted": found.answer.verdict == ACCEPTED,
            "unseen": not found.answer.alarms,
            "alarms": sorted(found.answer.alarms),
            "callers": tally.callers,
        }

    def _carry(self, attack: Attack, place: int, search: Search, found: Found | None) -> dict[str, int]:
        """Tries what won on one sample on others, of which it knows nothing."""
        counts = {"of": 0, "won": 0, "unseen": 0}
        if attack.carry is None or found is None:
            return counts
        name = self._subject.layout.name
        start = self._cases[place].sample[name].astype(np.float64)
        alike = [
            self._cases[each]
            for each in self._attacked
            if each != place and self._cases[each].sample[name].shape == start.shape
        ]
        for case in alike[:_CARRIED]:
            tried = search.allowed(attack.carry(start, found.values, case.sample[name].astype(np.float64)))
            answer = self._subject.ask(self._subject.changed(case.sample, tried))
            won = answer.lead(case.truth) < 0
            counts["of"] += 1
            counts["won"] += won
            counts["unseen"] += won and not answer.alarms
        return counts

    def _other(self, place: int) -> Values | None:
        """Returns the input of the next sample of another class and the same shape, or None."""
        if place not in self._others:
            self._others[place] = self._find_other(place, self._cases[place].truth)
        return self._others[place]

    def _find_other(self, place: int, truth: Classes) -> Values | None:
        name, own = self._subject.layout.name, self._cases[place].sample
        for other in (*self._cases[place + 1 :], *self._cases[:place]):
            values = other.sample[name]
            if values.shape == own[name].shape and self._subject.ask({**own, name: values}).lead(truth) < 0:
                return values.astype(np.float64)
        return None


def _attacked(cases: Sequence[Case], most: int) -> list[int]:
    places: list[int] = []
    for place, case in enumerate(cases):
        if len(places) == most:
            break
        if case.is_right:
            places.append(place)
    return places


def _share(results: Sequence[Result], what: str) -> dict[str, Any]:
    return share(sum(each[what] for each in results), len(results))


def _carried(results: Sequence[Result], what: str) -> dict[str, Any]:
    return share(*(sum(each["carried"][count] for each in results) for count in (what, "of")))


def _mean(results: Sequence[Result]) -> float | None:
    return float(np.mean([each["tries"] for each in results])) if results else None
