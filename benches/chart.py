"""The rates of the largest size as bars, one panel per table: a small SVG without any script."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from xml.sax.saxutils import escape

from benches.runner import Result, Row
from benches.sizes import size_label
from benches.tables import Unit

_WIDTH = 760
_NAMES = 330
_BAR = 16
_STEP = 22
_HEAD = 44
# Readable on white and on black.
_TEXT, _OURS, _OTHERS = "#808080", "#2f7fd6", "#9aa7b4"


def draw(results: Sequence[Result]) -> str | None:
    """Returns the picture, or None when nothing in `results` has a rate in bytes."""
    panels = _largest_of_each(results)
    if not panels:
        return None
    parts: list[str] = []
    top = 0
    for result in panels:
        rows = [row for row in result.rows if row.failure is None]
        parts += _panel(result, rows, top)
        top += _HEAD + _STEP * len(rows)
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 8}" '
    return "\n".join([f'{start}font-family="sans-serif" font-size="12" fill="{_TEXT}">', *parts, "</svg>\n"])


def _largest_of_each(results: Sequence[Result]) -> list[Result]:
    largest: dict[str, Result] = {}
    for result in results:
        known = largest.get(result.table.key)
        if (
            result.table.unit is Unit.BYTES
            and result.table.compared
            and (known is None or result.work > known.work)
        ):
            largest[result.table.key] = result
    return list(largest.values())


def _panel(result: Result, rows: Sequence[Row], top: int) -> list[str]:
    title = f"{result.table.title}, {size_label(result.work)}, median GB/s"
    parts = [f'<text x="0" y="{top + 28}" font-size="14" font-weight="bold">{escape(title)}</text>']
    rates = [result.work / statistics.median(sample.wall for sample in row.samples) / 1e9 for row in rows]
    for number, (row, rate) in enumerate(zip(rows, rates, strict=True)):
        parts += _bar(_plain(row.contestant.name), rate, max(rates), top + _HEAD + _STEP * number)
    return parts


def _bar(name: str, rate: float, highest: float, y: int) -> list[str]:
    length = max(1, round((_WIDTH - _NAMES - 50) * rate / highest))
    colour = _OURS if name.startswith("modelkeep") else _OTHERS
    baseline = y + _BAR - 4
    return [
        f'<text x="{_NAMES - 8}" y="{baseline}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_NAMES}" y="{y}" width="{length}" height="{_BAR}" fill="{colour}"/>',
        f'<text x="{_NAMES + length + 6}" y="{baseline}">{rate:.2f}</text>',
    ]


def _plain(markdown: str) -> str:
    return markdown.replace("*", "").replace("`", "")
