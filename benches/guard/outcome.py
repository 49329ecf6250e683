"""What was measured on one data set with one seed, and the tables that follow from several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelkeep.guard.bound import binomial_tail


class Share(NamedTuple):
    """So many of so many."""

    hits: int
    tries: int

    @staticmethod
    def of(verdicts: NDArray[np.bool_]) -> Share:
        """Returns the share of true ones."""
        return Share(int(verdicts.sum()), len(verdicts))

    def __str__(self) -> str:
        return f"{100 * self.hits / self.tries:.0f}" if self.tries else "-"

    def interval(self) -> tuple[float, float]:
        """Returns the ends of the exact 95 % interval of the rate.

        Source: Clopper and Pearson, Biometrika 26 (1934).
        """
        low = _rate(self.tries, self.hits - 1, 0.975) if self.hits else 0.0
        high = _rate(self.tries, self.hits, 0.025) if self.hits < self.tries else 1.0
        return low, high


# One figure, or one for each rate of false alarms.
Cell = tuple[Share, ...]
Rows = dict[str, list[Cell]]
NOTHING = Share(0, 0)


@dataclass
class Outcome:
    """What was measured with one seed.

    Attributes:
        accuracy: of the network on held-out samples.
        hardened: the same of the network that was trained with attacks, where there is one.
        clean: alarms of held-out clean samples, for each rate of false alarms.
        faults: by fault: accuracy left, then what catches it.
        attacks: by attack: success, then what catches it.
        adaptive: by reach: how often the result is wrong and accepted.
    """

    accuracy: Share
    hardened: Share = NOTHING
    clean: list[Share] = field(default_factory=list)
    faults: Rows = field(default_factory=dict)
    attacks: Rows = field(default_factory=dict)
    adaptive: Rows = field(default_factory=dict)


def table(header: Sequence[str], outcomes: Sequence[Rows]) -> str:
    """Returns a table of the figures of all seeds together, with a word on how far they are apart."""
    lines = [list(header), ["---"] * len(header)]
    apart = 0.0
    for name in outcomes[0]:
        seeds = [outcome[name] for outcome in outcomes if name in outcome]
        cells = [_pooled([seed[place] for seed in seeds]) for place in range(len(seeds[0]))]
        lines.append([name, *(" / ".join(map(str, cell)) for cell in cells)])
        apart = max(apart, *(_apart([seed[place] for seed in seeds]) for place in range(len(cells))))
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    if len(outcomes) == 1:
        return text
    return f"{text}\n\nLargest difference between two seeds in one cell: {apart:.0f} points."


def clean_rates(shares: Sequence[Share]) -> str:
    """Returns the rates of several seeds, each with its interval."""
    words = []
    for share in shares:
        if not share.tries:
            return "too few samples for thresholds"
        low, high = share.interval()
        rate = 100 * share.hits / share.tries
        words.append(f"{rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]")
    return " and ".join(words)


def _pooled(cells: Sequence[Cell]) -> Cell:
    return tuple(
        Share(sum(s.hits for s in each), sum(s.tries for s in each)) for each in zip(*cells, strict=True)
    )


def _apart(cells: Sequence[Cell]) -> float:
    # Shares of a few tries say nothing about seeds.
    rates = [[100 * s.hits / s.tries for s in each if s.tries >= 30] for each in zip(*cells, strict=True)]
    return max((max(each) - min(each) for each in rates if each), default=0.0)


def _rate(tries: int, most: int, chance: float) -> float:
    """Returns the rate for which P(at most `most` of `tries`) is `chance`."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if binomial_tail(tries, most, middle) > chance:
            low = middle
        else:
            high = middle
    return low
