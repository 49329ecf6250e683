"""The promise about false alarms, put to the test where the true rate is known."""

from __future__ import annotations

import numpy as np
import pytest

from modelkeep.guard.scores import threshold


@pytest.mark.parametrize(
    ("count", "alpha", "delta"), [(300, 0.01, 0.05), (1000, 0.05, 0.05), (800, 0.01, 0.2)]
)
def test_the_rate_is_exceeded_no_more_often_than_promised(count: int, alpha: float, delta: float) -> None:
    generator = np.random.default_rng(20)
    trials = 4000
    exceeded = 0
    for _ in range(trials):
        # A uniform score lies above t with probability 1 - t.
        exceeded += 1 - threshold(generator.random(count), alpha, delta) > alpha
    assert exceeded / trials <= delta + 3 * np.sqrt(delta * (1 - delta) / trials)


def test_thresholds_are_not_needlessly_high() -> None:
    generator = np.random.default_rng(21)
    rates = [1 - threshold(generator.random(5000), 0.05, 0.05) for _ in range(300)]
    assert 0.042 < np.mean(rates) < 0.05
