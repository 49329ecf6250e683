"""How much a report tries."""

from __future__ import annotations

from dataclasses import dataclass

from modelkeep.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is tried.

    Attributes:
        faulty: samples that each fault is tried on.
        attacked: samples that each attack is tried on.
        tries: how often an attack may ask the model about one sample.
        reach: how far an attack may change an element, as a share of the input's range.
        seed: where chance starts; the same seed gives the same report, but for the time it took.
    """

    faulty: int = 100
    attacked: int = 20
    tries: int = 100
    reach: float = 8 / 255
    seed: int = 1

    def check(self) -> None:
        """Checks the numbers.

        Raises:
            UsageError: one that makes no sense.
        """
        if min(self.faulty, self.attacked, self.tries) < 1 or self.seed < 0 or not 0 < self.reach <= 1:
            raise UsageError("counts of a report must be positive, and the reach of attacks at most 1")
