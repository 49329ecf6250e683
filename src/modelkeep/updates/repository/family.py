"""A family of models: those whose releases one key signs, or a few keys together.

Source: spec/update-v1.md, "The repository".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from modelkeep.errors import UsageError
from modelkeep.manifest import check_model_id
from modelkeep.trust.publisher import EVERY_MODEL, covers, matches
from modelkeep.updates.phase import FOLDER as PHASES
from modelkeep.updates.release_document import FOLDER as RELEASES

ROLE = "models"
# Clients look at no more than 32 roles for one target, and one of them is that of phases.
MOST_FAMILIES = 24

# Of the longest id of a model.
_MOST_PARTS = 8
_NAME = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._]{0,63})?")
_BELOW = "/*"


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose releases one role signs.

    Attributes:
        name: the family that their manifests name; may be empty.
        models: ids, ``prefix/*`` for every id that begins with ``prefix/``, or ``*`` for every one, as
            trust files have them.
    """

    name: str
    models: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuses names and patterns that are none.

        Raises:
            UsageError: see there.
        """
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"not a family that a repository can have: {self.name!r:.100}",
                hint="letters, digits, '.' and '_'; or no name, for models without a family",
            )
        if not self.models:
            raise UsageError("a family has models", hint="name them: audio=acme/audio/*, or * for every one")
        for pattern in self.models:
            if pattern != EVERY_MODEL:
                check_model_id(pattern.removesuffix(_BELOW))

    @staticmethod
    def parse(text: str) -> Family:
        """Returns a family that somebody wrote: ``NAME=MODELS``, or ``MODELS`` for one without a name."""
        name, equals, models = text.rpartition("=")
        return Family(name if equals else "", tuple(models.split(",")))

    @property
    def role(self) -> str:
        """The name of its role."""
        return f"{ROLE}-{self.name}" if self.name else ROLE

    @property
    def paths(self) -> list[str]:
        """Patterns of the release documents that its role may sign; in them, ``*`` stays within a part."""
        return [f"{RELEASES}/{each}/*.json" for pattern in self.models for each in _at_each_depth(pattern)]

    def names(self, model: str) -> bool:
        """Returns whether `model` is one of its models."""
        return any(matches(pattern, model) for pattern in self.models)


def phase_paths() -> list[str]:
    """Returns patterns of all documents that say what is offered of a model."""
    return [f"{PHASES}/{each}.json" for each in _at_each_depth(EVERY_MODEL)]


def check_apart(families: Iterable[Family]) -> None:
    """Refuses families of which two could sign for one model.

    Raises:
        UsageError: there are such, or too many.
    """
    known = list(families)
    if len(known) > MOST_FAMILIES:
        raise UsageError(f"a repository has at most {MOST_FAMILIES} families", hint="make another one")
    patterns = [pattern for each in known for pattern in each.models]
    for pattern, other in itertools.combinations(patterns, 2):
        if covers(pattern, other) or covers(other, pattern):
            raise UsageError(f"two families would sign the same models: {pattern} and {other}")
    if len({each.role for each in known}) != len(known):
        raise UsageError("two families have the same name")


def _at_each_depth(pattern: str) -> list[str]:
    if pattern == EVERY_MODEL:
        return ["/".join("*" * count) for count in range(1, _MOST_PARTS + 1)]
    if not pattern.endswith(_BELOW):
        return [pattern]
    prefix = pattern.removesuffix(_BELOW)
    below = _MOST_PARTS - len(prefix.split("/"))
    return [prefix + _BELOW * count for count in range(1, below + 1)]
