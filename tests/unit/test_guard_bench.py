from __future__ import annotations

import numpy as np
import pytest
from benches.guard.outcome import NOTHING, Rows, Share, clean_rates, table


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    [(0, 10, 0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1), (30, 1000, 0.0203, 0.0426)],
)
def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson(
    hits: int, tries: int, low: float, high: float
) -> None:
    assert Share(hits, tries).interval() == pytest.approx((low, high), abs=2e-4)


def test_a_share_counts_what_is_true() -> None:
    assert Share.of(np.array([True, False, True, True])) == (3, 4)


def test_cells_count_the_tries_of_all_seeds_together() -> None:
    one: Rows = {"squares": [(Share(10, 100),), (Share(1, 1), NOTHING)]}
    other: Rows = {"squares": [(Share(30, 100),), (Share(0, 3), NOTHING)]}
    text = table(["attack", "success", "caught"], [one, other])
    assert "| squares | 20 | 25 / - |" in text
    assert "20 points" in text


def test_a_column_that_one_seed_left_out_is_that_of_the_other() -> None:
    text = table(["reach", "hardened"], [{"1/255": [(Share(1, 2),)]}, {"1/255": [(NOTHING,)]}])
    assert "| 1/255 | 50 |" in text


def test_rates_of_clean_samples_have_intervals_or_a_reason() -> None:
    assert clean_rates([Share(0, 10)]) == "0.0 % [0.0, 30.8]"
    assert clean_rates([NOTHING, NOTHING]) == "too few samples for thresholds"
