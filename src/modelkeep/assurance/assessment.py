"""What was found, held against what standards ask: a row for each requirement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelkeep.assurance.fact import Fact, Standing
from modelkeep.assurance.standards import REQUIREMENTS, Requirement

SHOWN, ADVISORY, PARTLY, NOT_SHOWN = "shown", "advisory", "partly", "not shown"


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement, and what was found of it.

    Attributes:
        requirement: what is asked.
        facts: the facts that bear on it, those that were not shown included.
    """

    requirement: Requirement
    facts: tuple[Fact, ...]

    @property
    def standing(self) -> str:
        """How much of it was shown: no more than its weakest fact, and never what lies beyond."""
        found = {each.standing for each in self.facts}
        if found <= {Standing.NOT_SHOWN}:
            return NOT_SHOWN
        if Standing.NOT_SHOWN in found or self.requirement.beyond:
            return PARTLY
        return ADVISORY if Standing.ADVISORY in found else SHOWN

    def to_json(self) -> dict[str, Any]:
        """Returns the row as an object of JSON; facts are named."""
        return self.requirement.to_json() | {
            "standing": self.standing,
            "facts": [each.name for each in self.facts if each.standing is not Standing.NOT_SHOWN],
            "missing": [each.name for each in self.facts if each.standing is Standing.NOT_SHOWN],
            "beyond": self.requirement.beyond or None,
        }


def assess(facts: Sequence[Fact]) -> tuple[Row, ...]:
    """Returns a row for each requirement."""
    by_name = {fact.name: fact for fact in facts}
    return tuple(Row(each, tuple(_bearing(each, by_name))) for each in REQUIREMENTS)


def _bearing(requirement: Requirement, facts: Mapping[str, Fact]) -> Iterator[Fact]:
    for name in requirement.facts:
        yield facts.get(name) or Fact(name, Standing.NOT_SHOWN, "not looked at")
