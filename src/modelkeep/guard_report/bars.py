"""Shares as bars of HTML: text stays as large as the page's, whatever the screen."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from modelkeep.guard_report.style import COLOURS

Share = dict[str, Any]


def bars(rows: Sequence[tuple[str, Sequence[Share]]], legend: Sequence[str]) -> str:
    """Returns horizontal bars from 0 to 100 % with their intervals, several for each row, and a legend.

    The share of the first bar stands beside it in figures; shares of nothing have no bar.
    """
    return _legend(legend) + "".join(_row(name, shares) for name, shares in rows)


def _row(name: str, shares: Sequence[Share]) -> str:
    drawn = "".join(_bar(share, COLOURS[place % len(COLOURS)]) for place, share in enumerate(shares))
    return (
        f'<div class="row"><span>{escape(name)}</span><div class="bars">{drawn}</div>{_figures(shares)}</div>'
    )


def _bar(share: Share, colour: str) -> str:
    if share["share"] is None:
        return "<span></span>"
    low, width, high = (100 * share[end] for end in ("low", "share", "high"))
    return (
        f'<span><i style="width:{width:.1f}%;background:{colour}"></i>'
        f'<b style="left:{low:.1f}%;width:{high - low:.1f}%"></b></span>'
    )


def _figures(shares: Sequence[Share]) -> str:
    shown = ("none" if each["share"] is None else f"{100 * each['share']:.0f} %" for each in shares)
    return f"<small>{' · '.join(shown)}</small>"


def _legend(names: Sequence[str]) -> str:
    marks = "".join(
        f'<span><i style="background:{COLOURS[place % len(COLOURS)]}"></i>{escape(name)}</span>'
        for place, name in enumerate(names)
    )
    return f'<p class="legend">{marks}<span><b>—</b> 95 % interval</span></p>'
