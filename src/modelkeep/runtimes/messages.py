"""What runtimes say when something fails, cut to one line."""

from __future__ import annotations

_LONGEST = 200


def without_frames(error: Exception) -> Exception:
    """Returns the error without its frames, which would keep the runtime's objects alive."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def first_line(error: Exception, text: str | None = None) -> str:
    """Returns the first line of `text` (by default, of what `error` says), or the kind of the error."""
    lines = (str(error) if text is None else text).strip().splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST]
