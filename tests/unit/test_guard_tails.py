"""Tails: how surprising a value is, and that outliers and quiet columns do not blind a profile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelkeep.guard.features import MISSING, UNIT
from modelkeep.guard.tails import MOST, SHARES, Tails, fit_tails

_LEAST = np.array([0.01 * UNIT])


def fitted(values: np.ndarray, least: float = 0.01) -> Tails:
    rows = np.rint(values * UNIT).astype(np.int64)[:, None]
    return fit_tails(rows, MISSING, np.array([least * UNIT]))


def surprise(tails: Tails, value: float) -> float:
    return float(tails.surprises(np.array([[value * UNIT]]))[0, 0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.exponential(1, 100_000),
        lambda random: random.pareto(4, 100_000),
    ],
    ids=["exponential", "pareto"],
)
def test_surprise_is_close_to_minus_the_logarithm_of_the_chance(draw: object) -> None:
    values = draw(np.random.default_rng(1))  # type: ignore[operator]
    tails = fitted(values)
    for chance in (0.04, 0.01, 0.001):
        value = float(np.quantile(values, 1 - chance))
        assert surprise(tails, value) == pytest.approx(-math.log(chance), abs=0.35)


def test_it_grows_to_either_side_of_the_median() -> None:
    values = np.random.default_rng(2).normal(size=2000)
    tails = fitted(values)
    steps = [surprise(tails, value) for value in np.linspace(0.1, 50, 300)]
    assert steps == sorted(steps) and surprise(tails, tails.medians[0] / UNIT) == 0
    other = [surprise(tails, -value) for value in np.linspace(0.1, 50, 300)]
    assert other == sorted(other)


def test_a_value_that_many_samples_have_is_not_surprising() -> None:
    values = np.random.default_rng(3).integers(0, 4, 1000).astype(float)
    tails = fitted(values)
    assert max(surprise(tails, value) for value in (0.0, 1.0, 2.0, 3.0)) < 2
    assert min(surprise(tails, value) for value in (-1.0, 4.0)) > 20


def test_what_never_moved_is_surprising_as_soon_as_it_does() -> None:
    tails = fitted(np.full(1000, 0.25))
    assert surprise(tails, 0.25) == 0
    assert surprise(tails, 0.26) > 7 and surprise(tails, 0.24) > 7


def test_what_never_moved_steps_as_far_as_what_seldom_does() -> None:
    rows = np.zeros((1000, 3), np.int64)
    rows[:30, 0] = 10 * UNIT
    rows[:, 2] = np.arange(1000) * UNIT
    least = np.full(3, float(_LEAST[0]))
    alone, shared = fit_tails(rows, MISSING, least), fit_tails(rows, MISSING, least, [slice(0, 3)])
    stepped = np.array([[0, 10 * UNIT, 0], [0, -10 * UNIT, 0]])
    assert (alone.surprises(stepped)[:, 1] > 500).all()
    # Downwards none of them ever moved.
    upwards, downwards = shared.surprises(stepped)[:, 1]
    assert upwards < 9 and downwards > 500
    assert (shared.tails[2] == alone.tails[2]).all()


def test_what_is_exact_is_as_surprising_as_can_be_beyond() -> None:
    tails = fitted(np.zeros(1000), least=0.0)
    assert surprise(tails, 0.0) == 0
    assert surprise(tails, 1 / UNIT) == MOST


def test_missing_values_do_not_count() -> None:
    values = np.random.default_rng(4).normal(size=(500, 1))
    rows = np.rint(values * UNIT).astype(np.int64)
    with_missing = np.concatenate([rows, np.full_like(rows, MISSING)])
    plain, other = (fit_tails(each, MISSING, _LEAST) for each in (rows, with_missing))
    assert (plain.quantiles == other.quantiles).all() and (plain.tails == other.tails).all()
    nothing = fit_tails(np.full((5, 1), MISSING), MISSING, _LEAST)
    assert np.isfinite(nothing.tails).all() and nothing.quantiles.shape == (1, len(SHARES))


def test_one_outlier_does_not_hide_others() -> None:
    values = np.random.default_rng(5).normal(size=750)
    quiet, odd = fitted(values), fitted(np.append(values, 1e5))
    assert surprise(quiet, 8.0) > 12 and surprise(odd, 8.0) > 6
