"""The arithmetic behind thresholds, against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from modelkeep.errors import UsageError
from modelkeep.guard.bound import beyond, binomial_tail, samples_needed


def exact_tail(count: int, most: int, chance: Fraction) -> Fraction:
    terms = (math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(most + 1))
    return sum(terms, Fraction(0))


@pytest.mark.parametrize(("count", "chance"), [(1, 0.25), (20, 0.5), (150, 0.01), (300, 0.05), (299, 0.01)])
def test_the_tail_is_that_of_exact_arithmetic(count: int, chance: float) -> None:
    for most in range(0, min(count, 40)):
        assert binomial_tail(count, most, chance) == pytest.approx(
            float(exact_tail(count, most, Fraction(chance))), rel=1e-9
        )


def test_the_smallest_numbers_of_samples() -> None:
    assert [samples_needed(alpha, 0.05) for alpha in (0.05, 0.01, 0.001)] == [59, 299, 2995]


def test_one_sample_fewer_allows_no_threshold() -> None:
    assert beyond(298, 0.01, 0.05) is None
    assert beyond(299, 0.01, 0.05) == 0


@pytest.mark.parametrize("count", [299, 1000, 5000, 100_000])
def test_as_many_as_allowed_and_no_more(count: int) -> None:
    allowed = beyond(count, 0.01, 0.05)
    assert allowed is not None
    assert binomial_tail(count, allowed, 0.01) <= 0.05 < binomial_tail(count, allowed + 1, 0.01)


@pytest.mark.parametrize(
    ("alpha", "delta"), [(0.0, 0.05), (0.01, 0.0), (float("nan"), 0.05), (0.6, 0.05), (1, 1)]
)
def test_rates_that_are_none_are_refused(alpha: float, delta: float) -> None:
    with pytest.raises(UsageError):
        samples_needed(alpha, delta)
