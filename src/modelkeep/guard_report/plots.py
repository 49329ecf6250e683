"""Plots as SVG, drawn from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _ABOVE, _BELOW = 680, 110, 18, 18
_NAMES, _PERCENT, _BAR, _BETWEEN = 190, 55, 14, 10
# Told apart by people who see colours differently. Source: Okabe and Ito, "Color Universal Design", 2008.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#999999")
_TEXT = "#222"


def distribution(rule: dict[str, Any]) -> str:
    """Returns the histogram of the scores of clean samples, with the threshold as a line."""
    counts, low, extent = rule["counts"], rule["low"], rule["high"] - rule["low"]
    width, tallest, floor = _WIDTH / len(counts), max([1, *counts]), _ABOVE + _HEIGHT
    bars = "".join(
        f'<rect x="{place * width:.1f}" y="{floor - _HEIGHT * count / tallest:.1f}" '
        f'width="{width - 1:.1f}" height="{_HEIGHT * count / tallest:.1f}" fill="{COLOURS[0]}"/>'
        for place, count in enumerate(counts)
        if count
    )
    x = _WIDTH * (rule["threshold"] - low) / extent
    anchor, aside = ("end", -5) if x > _WIDTH / 2 else ("start", 5)
    return _svg(
        _ABOVE + _HEIGHT + _BELOW,
        f'{bars}<line x1="0" x2="{_WIDTH}" y1="{floor}" y2="{floor}" stroke="{_TEXT}"/>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{floor}" stroke="{COLOURS[4]}" stroke-width="2"/>'
        + _text(x + aside, 12, f"threshold {rule['threshold']:.4g}", anchor)
        + _text(0, floor + 14, f"{low:.4g}")
        + _text(_WIDTH, floor + 14, f"{rule['high']:.4g}", "end"),
    )


def shares(rows: Sequence[tuple[str, Sequence[dict[str, Any]]]], legend: Sequence[str]) -> str:
    """Returns horizontal bars from 0 to 100 % with their intervals, several for each row, and a legend."""
    drawn, top = [], 0
    for name, values in rows:
        middle = top + _BAR * len(values) / 2 + 4
        drawn.append(_text(0, middle, name))
        drawn += [_bar(top + _BAR * number, value, number) for number, value in enumerate(values)]
        top += _BAR * len(values) + _BETWEEN
    return _legend(legend) + _svg(top, "".join(drawn))


def _bar(top: float, share: dict[str, Any], number: int) -> str:
    room, middle = _WIDTH - _NAMES - _PERCENT, top + _BAR / 2 - 1
    low, width, high = (_NAMES + room * share[end] for end in ("low", "share", "high"))
    return (
        f'<rect x="{_NAMES}" y="{top}" width="{width - _NAMES:.1f}" height="{_BAR - 2}" '
        f'fill="{COLOURS[number % len(COLOURS)]}"/>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{_TEXT}"/>'
        + _text(high + 5, top + _BAR - 4, f"{100 * share['share']:.0f} %")
    )


def _legend(names: Sequence[str]) -> str:
    # Text of the page, not of the plot: it breaks where it must.
    marks = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<p class="legend">{marks}</p>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_TEXT}">{escape(text)}</text>'


def _svg(height: float, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" height="{height:.0f}" role="img" '
        f'font-family="sans-serif" font-size="12">{content}</svg>'
    )
