"""What was found as a page of Markdown; no word in it can become markup, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from modelkeep._version import __version__
from modelkeep.assurance.assessment import Row
from modelkeep.assurance.fact import Fact, Standing, quoted
from modelkeep.trust.trust_report import moment

# Letters and digits, and what means nothing wherever it stands; a full stop or colon may begin a link.
_PLAIN = re.compile(r"[^\w ,;'=()\-.:/+]|(?<!\w)_|_(?!\w)|(?<=www)\.|:(?=/)", re.IGNORECASE)
_ABOUT = (
    "What one run of modelkeep has checked, and which requirements that bears on. This is no statement of "
    "conformity: most of what standards ask lies beyond one model on one device.",
    "*verified*: cryptography has shown it in this run. *advisory*: this device says so, and whoever has "
    "root makes it say anything. A requirement is *shown* if everything that bears on it is verified, "
    "*advisory* if some of that is, and *partly* if some is missing or cannot be seen here.",
)


def page(path: str, at: int, facts: Sequence[Fact], rows: Sequence[Row], refusal: str | None) -> str:
    """Returns the page.

    Args:
        path: what was looked at.
        at: when, in seconds since 1970-01-01 UTC by this device's clock.
        facts: what was found; nothing where it was refused.
        rows: what the facts come to.
        refusal: what refused it, in words; or None.
    """
    return "\n".join(_lines(path, at, facts, rows, refusal)) + "\n"


def escaped(text: str) -> str:
    """Returns a text that reads the same in Markdown and HTML, and is nothing but text there."""
    return _PLAIN.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def _lines(
    path: str, at: int, facts: Sequence[Fact], rows: Sequence[Row], refusal: str | None
) -> Iterator[str]:
    yield from ("# Evidence", "")
    yield f"{escaped(quoted(path))}, {moment(at)} by this device's clock, modelkeep {__version__}."
    yield ""
    if refusal is not None:
        yield from (f"**REFUSED: {escaped(refusal)}.** Nothing below was shown.", "")
    for paragraph in _ABOUT:
        yield from (paragraph, "")
    yield from _facts(facts)
    for standard, each in groupby(rows, lambda row: row.requirement.standard):
        yield from _table(standard, list(each))


def _facts(facts: Sequence[Fact]) -> Iterator[str]:
    if facts:
        yield from ("## Facts", "", "| fact | standing | what was found |", "|---|---|---|")
        yield from (_row(fact.name, fact.standing.value, escaped(fact.text)) for fact in facts)
        yield ""


def _table(standard: str, rows: Sequence[Row]) -> Iterator[str]:
    yield from (f"## {standard}", "", "| requirement | | standing | facts |", "|---|---|---|---|")
    for row in rows:
        asked = row.requirement
        yield _row(asked.number, escaped(asked.about), row.standing, escaped(_behind(row)))
    yield ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _behind(row: Row) -> str:
    """Returns the facts behind a row, then what is missing, then what cannot be seen here."""
    found = [each.name for each in row.facts if each.standing is not Standing.NOT_SHOWN]
    missing = [each.name for each in row.facts if each.standing is Standing.NOT_SHOWN]
    parts = [
        ", ".join(found),
        f"not shown: {', '.join(missing)}" if missing else "",
        f"not seen here: {row.requirement.beyond}" if row.requirement.beyond else "",
    ]
    return "; ".join(filter(None, parts))
