"""How many of n clean samples may lie beyond a threshold, so that false alarms stay rare for certain.

A threshold is the (m + 1)-th largest of n independent scores. Its true false-alarm rate exceeds
alpha exactly when at most m of the n scores lie beyond the (1 - alpha) quantile, and that has the
probability P(Binomial(n, alpha) <= m). Source: Vovk, "Conditional validity of inductive conformal
predictors", Machine Learning 92 (2013), section 3.
"""

from __future__ import annotations

import math

from modelkeep.errors import UsageError

LARGEST_RATE = 0.5
_NEGLIGIBLE = 1e-18


def binomial_tail(count: int, most: int, chance: float) -> float:
    """Returns P(Binomial(count, chance) <= most), for 0 <= most < count and 0 < chance < 1."""
    if most >= count * chance + chance:
        return 1.0 - _sum_from(count, most + 1, chance, up=True)
    return _sum_from(count, most, chance, up=False)


def beyond(count: int, alpha: float, delta: float) -> int | None:
    """Returns how many of `count` clean scores may lie beyond a threshold, or None with too few samples.

    It is the largest m with P(Binomial(count, alpha) <= m) <= delta.
    """
    check_rates(alpha, delta)
    if count < samples_needed(alpha, delta):
        return None
    low, high = 0, count - 1
    while low < high:
        middle = (low + high + 1) // 2
        if binomial_tail(count, middle, alpha) <= delta:
            low = middle
        else:
            high = middle - 1
    return low


def samples_needed(alpha: float, delta: float) -> int:
    """Returns the smallest number of clean samples that allows any threshold at all."""
    check_rates(alpha, delta)
    count = max(1, math.ceil(math.log(delta) / math.log1p(-alpha)))
    # The quotient of two rounded logarithms can be one off.
    while count > 1 and (1 - alpha) ** (count - 1) <= delta:
        count -= 1
    while (1 - alpha) ** count > delta:
        count += 1
    return count


def least_alpha(count: int, delta: float) -> float:
    """Returns the smallest rate for which `count` clean samples allow a threshold: 1 - delta^(1 / count)."""
    return float(-math.expm1(math.log(delta) / max(count, 1)))


def check_rates(alpha: float, delta: float) -> None:
    """Raises UsageError unless both are probabilities between 0 and 1."""
    if not (1e-6 <= alpha <= LARGEST_RATE and 1e-9 <= delta <= LARGEST_RATE):
        raise UsageError(
            "alpha must lie between 0.000001 and 0.5, and delta between 1e-9 and 0.5",
            hint="alpha is the rate of false alarms, delta the chance that the rate is exceeded",
        )


def _sum_from(count: int, start: int, chance: float, *, up: bool) -> float:
    """Returns the sum of the probabilities of `start` and all numbers above it, or below it."""
    term = math.exp(
        math.lgamma(count + 1)
        - math.lgamma(start + 1)
        - math.lgamma(count - start + 1)
        + start * math.log(chance)
        + (count - start) * math.log1p(-chance)
    )
    odds = chance / (1 - chance)
    terms = [term]
    while term > _NEGLIGIBLE * terms[0] and (start < count if up else start > 0):
        term *= (count - start) / (start + 1) * odds if up else start / (count - start + 1) / odds
        start += 1 if up else -1
        terms.append(term)
    return min(1.0, math.fsum(terms))
