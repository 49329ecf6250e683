"""What runtimes say when something fails, cut to one line."""

from __future__ import annotations

_LONGEST = 200


def first_line(error: Exception, text: str | None = None) -> str:
    """Returns the first line of `text` (by default, of what `error` says), or the kind of the error."""
    lines = (str(error) if text is None else text).strip().splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST]
