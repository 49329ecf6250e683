"""What runtimes say when something fails, cut to one line."""

from __future__ import annotations

import re

from modelkeep.errors import KeepError, UnavailableError, UsageError

LESS_MEMORY = "free some memory or use a smaller model"
_LONGEST, _LONGEST_SEARCHED = 200, 4000
# Few runtimes have an error of its own for it. The last is all that LiteRT says.
_NO_MEMORY = re.compile(
    r"bad.alloc|failed to allocate|cannot allocate|out of memory|failed to create XNNPACK runtime",
    re.IGNORECASE,
)


def without_frames(error: Exception) -> Exception:
    """Returns the error without its frames, which would keep the runtime's objects alive."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def lacks_memory(error: Exception) -> bool:
    """Returns whether a runtime failed because there is not enough memory, which is no fault of the model."""
    if type(error).__name__ in {"MemoryError", "OutOfMemoryError"}:
        return True
    return _NO_MEMORY.search(str(error)[:_LONGEST_SEARCHED]) is not None


def first_line(error: Exception, text: str | None = None) -> str:
    """Returns the first line of `text` (by default, of what `error` says), or the kind of the error."""
    lines = (str(error) if text is None else text).strip().splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST]


def run_error(runtime: str, error: Exception, reason: str | None = None) -> KeepError:
    """Returns what an error of a run means.

    Args:
        runtime: its name, for people.
        error: what it raised.
        reason: what that says; by default its first line.
    """
    message = f"{runtime} cannot run the model: {first_line(error) if reason is None else reason}"
    if lacks_memory(error):
        return UnavailableError(message, hint=LESS_MEMORY)
    return UsageError(message, hint="check the inputs against the model")
