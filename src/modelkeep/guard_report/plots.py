"""Plots as SVG, drawn from numbers alone; small enough to be read on a phone as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

from modelkeep.guard_report.style import ALARM, WRONG

_WIDTH, _LEFT, _RIGHT, _TOP, _FLOOR, _HEIGHT = 360, 58, 350, 18, 150, 186
_MOST_TICKS = 5
# From this ratio on, an axis is logarithmic.
_WIDE = 20.0


class Axis(NamedTuple):
    """One axis of a plot.

    Attributes:
        place: number -> place on the page.
        ticks: numbers that are named.
    """

    place: Callable[[float], float]
    ticks: tuple[float, ...]


def axis(low: float, high: float, first: float, last: float) -> Axis:
    """Returns an axis from `low` to `high`, logarithmic where numbers differ by much and all are above 0."""
    if low > 0 and high / low >= _WIDE:
        low, high = math.log10(low), math.log10(high)
        ticks = tuple(10.0**power for power in _steps(low, high, 1.0))
        return Axis(lambda value: first + (math.log10(value) - low) / (high - low) * (last - first), ticks)
    extent = high - low or 1.0
    step = _round(extent / (_MOST_TICKS - 1))
    return Axis(lambda value: first + (value - low) / extent * (last - first), _steps(low, high, step))


def ranks(rule: dict[str, Any], alpha: float) -> str:
    """Returns how many clean samples score above what: the threshold lies where few do."""
    points = [(share, score) for share, score in rule["ranks"] if share > 0]
    scores = [*(score for _, score in points), rule["threshold"]]
    across = axis(min(share for share, _ in points) / 1.1, 1.0, _RIGHT, _LEFT)
    upward = axis(min(scores), max(scores), _FLOOR, _TOP)
    y = upward.place(rule["threshold"])
    return _svg(
        _frame(across, upward, "clean samples above it", _percent, "score")
        + _line(points, across, upward)
        + f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{WRONG}" stroke-width="2"/>'
        + _text(_LEFT + 4, _above(y), f"threshold {rule['threshold']:.4g}"),
        f"scores of clean samples by rank, threshold {rule['threshold']:.4g}, promised {alpha:.3g}",
    )


def curve(points: Sequence[tuple[float, float]], across: str, upward: str) -> str:
    """Returns shares over numbers of samples."""
    counts = [count for count, _ in points]
    x = axis(min(counts), max(counts), _LEFT, _RIGHT)
    x = x._replace(ticks=tuple(dict.fromkeys((min(counts), max(counts)))))
    y = axis(0.0, 1.0, _FLOOR, _TOP)
    return _svg(
        _frame(x, y, across, _number, upward, _percent) + _line(points, x, y), f"{upward} over {across}"
    )


def _frame(
    across: Axis,
    upward: Axis,
    below: str,
    say_across: Callable[[float], str],
    beside: str,
    say_upward: Callable[[float], str] | None = None,
) -> str:
    say = say_upward or _number
    x_ticks = "".join(
        f'<line x1="{across.place(tick):.1f}" x2="{across.place(tick):.1f}" y1="{_FLOOR}" y2="{_FLOOR + 4}" '
        f'stroke="currentColor"/>' + _text(across.place(tick), _FLOOR + 16, say_across(tick), "middle")
        for tick in across.ticks
    )
    y_ticks = "".join(
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{upward.place(tick):.1f}" y2="{upward.place(tick):.1f}" '
        f'stroke="var(--line)"/>' + _text(_LEFT - 6, upward.place(tick) + 4, say(tick), "end")
        for tick in upward.ticks
    )
    floor = f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_FLOOR}" y2="{_FLOOR}" stroke="currentColor"/>'
    return y_ticks + floor + x_ticks + _text(_RIGHT, _FLOOR + 32, below, "end") + _text(0, 10, beside)


def _line(points: Sequence[tuple[float, float]], across: Axis, upward: Axis) -> str:
    path = " ".join(f"{across.place(x):.1f},{upward.place(y):.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{across.place(x):.1f}" cy="{upward.place(y):.1f}" r="2" fill="{ALARM}"/>'
        for x, y in points
    )
    return f'<polyline points="{path}" fill="none" stroke="{ALARM}" stroke-width="2"/>{dots}'


def _above(y: float) -> float:
    return y - 4 if y > _TOP + 14 else y + 14


def _round(step: float) -> float:
    """Returns 1, 2 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _steps(low: float, high: float, step: float) -> tuple[float, ...]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(number * step for number in range(first, last + 1))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _svg(content: str, words: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}" font-size="12">'
        f"{content}</svg>"
    )
