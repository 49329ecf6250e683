"""Plots as SVG, drawn from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LABELS = 640, 150, 150
_ROW, _BAR = 22, 14
COLOURS = ("#30638e", "#d1495b", "#edae49", "#66a182")


def distribution(rule: dict[str, Any]) -> str:
    """Returns the histogram of the scores of clean samples, with the threshold as a line."""
    counts, low, extent = rule["counts"], rule["low"], rule["high"] - rule["low"]
    width, tallest = _WIDTH / len(counts), max([1, *counts])
    bars = "".join(
        f'<rect x="{place * width:.1f}" y="{_HEIGHT * (1 - count / tallest):.1f}" width="{width - 1:.1f}" '
        f'height="{_HEIGHT * count / tallest:.1f}" fill="{COLOURS[0]}"/>'
        for place, count in enumerate(counts)
    )
    x = _WIDTH * (rule["threshold"] - low) / extent
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}" stroke="{COLOURS[1]}" stroke-width="2"/>'
    ends = (
        f'<text x="0" y="{_HEIGHT + 16}">{low:.3g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{rule["high"]:.3g}</text>'
    )
    return _svg(_WIDTH, _HEIGHT + 20, bars + line + ends)


def shares(rows: Sequence[tuple[str, Sequence[float]]], legend: Sequence[str]) -> str:
    """Returns horizontal bars from 0 to 100 %, several for each row, with a legend above."""
    block = _BAR * len(legend) + _ROW - _BAR
    drawn = [_legend(legend)]
    for place, (name, values) in enumerate(rows):
        top = _ROW + place * block
        drawn.append(f'<text x="0" y="{top + _BAR - 2}">{escape(name)}</text>')
        drawn += [_bar(top + _BAR * number, value, number) for number, value in enumerate(values)]
    return _svg(_WIDTH, _ROW + block * len(rows), "".join(drawn))


def _bar(top: int, share: float, number: int) -> str:
    room = _WIDTH - _LABELS - 50
    width = room * min(1.0, max(0.0, share))
    return (
        f'<rect x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR - 2}" fill="{COLOURS[number]}"/>'
        f'<text x="{_LABELS + width + 4:.1f}" y="{top + _BAR - 3}">{100 * share:.0f} %</text>'
    )


def _legend(names: Sequence[str]) -> str:
    return "".join(
        f'<rect x="{_LABELS + 160 * number}" y="2" width="10" height="10" fill="{COLOURS[number]}"/>'
        f'<text x="{_LABELS + 160 * number + 14}" y="12">{escape(name)}</text>'
        for number, name in enumerate(names)
    )


def _svg(width: int, height: int, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="sans-serif" font-size="12">{content}</svg>'
    )
