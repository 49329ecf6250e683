"""How a program ends where something is wrong: words, and exit code 1, as other people's tools expect it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modelkeep.errors import KeepError
from modelkeep.visible import visible


@contextmanager
def ends_with_words() -> Iterator[None]:
    """Ends the process where an error of ours leaves the block; its words go to standard error."""
    try:
        yield
    except KeepError as error:
        hint = f"\n  hint: {visible(error.hint)}" if error.hint else ""
        raise SystemExit(f"modelkeep: {visible(str(error))}{hint}") from None
