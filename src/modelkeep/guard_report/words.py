"""Shares, tables and paragraphs as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

# Below this chance, something is not as promised.
UNLIKELY = 0.01
_MANY = 100


def percent(share: dict[str, Any]) -> str:
    """Returns a share with its interval."""
    if share["share"] is None:
        return "none"
    return f"{100 * share['share']:.3g} % [{_short(share['low'])} to {_short(share['high'])}]"


def _short(part: float) -> str:
    return f"{100 * part:.0f}" if part >= 0.1 else f"{100 * part:.1f}".removesuffix(".0")


def of(share: dict[str, Any]) -> str:
    """Returns how many of how many."""
    return f"{share['count']} of {share['of']}"


def few(samples: int) -> str:
    """Returns a word of warning about a small number of samples, or nothing."""
    if samples >= _MANY:
        return ""
    return f"{samples} samples are few: look at the intervals, not at the shares."


def paragraph(text: str) -> str:
    """Returns a paragraph."""
    return f"<p>{escape(text)}</p>"


def section(title: str, content: str) -> str:
    """Returns a section; `content` is HTML."""
    return f"<h2>{escape(title)}</h2>{content}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of texts."""
    lines = [f"<tr>{_cells('th', header)}</tr>", *(f"<tr>{_cells('td', row)}</tr>" for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def folded(title: str, content: str) -> str:
    """Returns content that is shown when somebody asks for it; `content` is HTML."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
