"""What the command line prints: JSON and results on stdout, progress and prose on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = ("B", "kB", "MB", "GB", "TB")
# Shorter work is over before anybody could read how far it is.
_SHOW_AFTER = 0.5
_BETWEEN = 0.1


def say(text: str) -> None:
    """Prints prose for people."""
    print(text, file=sys.stderr)


def print_json(value: Mapping[str, Any]) -> None:
    """Prints the machine-readable result."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def human_size(count: float) -> str:
    """Returns a number of bytes as people write it, in powers of 1000."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def dim(text: str) -> str:
    """Returns `text` in a fainter colour where colours are welcome on stderr."""
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return text
    return f"\x1b[2m{text}\x1b[0m"


@contextmanager
def progress(verb: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes the bytes done since its last call; shows a line on a terminal."""
    meter = _Meter(verb, total, show=sys.stderr.isatty())
    try:
        yield meter.advance
    finally:
        meter.clear()


class _Meter:
    def __init__(self, verb: str, total: int, *, show: bool) -> None:
        self._verb, self._total, self._show = verb, max(total, 1), show
        self._done = 0
        self._start = self._shown = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            if self._show and now - self._start > _SHOW_AFTER and now - self._shown > _BETWEEN:
                self._shown = now
                self._draw(now - self._start)

    def clear(self) -> None:
        if self._show and self._shown != self._start:
            sys.stderr.write("\r\x1b[K")

    def _draw(self, seconds: float) -> None:
        share = min(100, 100 * self._done // self._total)
        rate = human_size(self._done / seconds)
        line = f"{self._verb} {share:3d} %  {human_size(self._done)} of {human_size(self._total)}, {rate}/s"
        sys.stderr.write(f"\r\x1b[K{dim(line)}")
        sys.stderr.flush()
