"""The promise about false alarms, put to the test where the true rate is known."""

from __future__ import annotations

import numpy as np
import pytest

from modelkeep.guard.scores import TopScores


@pytest.mark.parametrize(
    ("count", "alpha", "delta"), [(300, 0.01, 0.05), (1000, 0.05, 0.05), (800, 0.01, 0.2)]
)
def test_the_rate_is_exceeded_no_more_often_than_promised(count: int, alpha: float, delta: float) -> None:
    generator = np.random.default_rng(20)
    trials = 4000
    exceeded = 0
    for _ in range(trials):
        top = TopScores()
        top.add(generator.random(count))
        # A uniform score lies above t with probability 1 - t.
        exceeded += 1 - top.threshold(alpha, delta) > alpha
    assert exceeded / trials <= delta + 3 * np.sqrt(delta * (1 - delta) / trials)


def test_thresholds_are_not_needlessly_high() -> None:
    generator = np.random.default_rng(21)
    rates = []
    for _ in range(300):
        top = TopScores()
        top.add(generator.random(5000))
        rates.append(1 - top.threshold(0.05, 0.05))
    assert 0.042 < np.mean(rates) < 0.05


def test_parts_give_the_threshold_of_the_whole() -> None:
    scores = np.random.default_rng(22).normal(size=3000)
    whole, parts = TopScores(), [TopScores() for _ in range(7)]
    whole.add(scores)
    for part, some in zip(parts, np.array_split(scores, 7), strict=True):
        part.add(some)
    merged = TopScores()
    for part in reversed(parts):
        merged.merge(part)
    assert merged.threshold(0.01, 0.05) == whole.threshold(0.01, 0.05)
