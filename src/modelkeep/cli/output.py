"""What the command line prints: JSON and results on stdout, progress and prose on stderr."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from modelkeep.visible import visible

# Set as `typing` would: what every command imports is kept cheap.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any, TextIO

    from modelkeep.grants.constraints import Constraints

_UNITS = ("B", "kB", "MB", "GB", "TB")
# Shorter work is over before anybody could read how far it is.
_SHOW_AFTER = 0.5
_BETWEEN = 0.1
_MOST_NAMES = 5


def prepare_output() -> None:
    """Makes the standard streams safe to write to, whatever they are."""
    _hold_standard_descriptors()
    # Python gives None for a stream that was closed when it started.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show is shown escaped; it is no reason to fail.
            stream.reconfigure(errors="backslashreplace")


def _hold_standard_descriptors() -> None:
    # After `2>&-` the next file opened, perhaps a bundle, would be where libraries write their logs.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def flush_output() -> None:
    """Writes out what stdout holds back.

    Raises:
        OSError: it cannot be written, for example because a disk is full.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)
        raise


def say(text: str) -> None:
    """Prints prose for people on stderr; a terminal that has gone changes nothing about the work."""
    try:
        sys.stderr.write(f"{visible(text)}\n")
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    # Otherwise Python tries again when it exits, and fails in its own words.
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def show(text: str) -> None:
    """Prints a line of the result on stdout."""
    print(visible(text))


def print_json(value: Mapping[str, Any]) -> None:
    """Prints the machine-readable result; in ASCII, which every reader and encoding agrees on."""
    import json

    print(json.dumps(value, indent=2, sort_keys=True))


def report(arguments: Namespace, **facts: Any) -> None:
    """Prints the result for machines where that was asked for; `modelkeep.cli.vocabulary` has the words."""
    if arguments.json:
        print_json(facts)


def human_size(count: float) -> str:
    """Returns a number of bytes as people write it, in powers of 1000."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def time_of(seconds: int) -> str:
    """Returns a time in seconds since 1970-01-01 UTC as people write it."""
    import datetime

    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"


def terms_in_words(terms: Constraints) -> str:
    """Returns what grants demand, to be put behind whose they are; nothing where they demand nothing."""
    times = [("from", terms.not_before), ("until", terms.not_after)]
    words = [f"{word} {time_of(when)}" for word, when in times if when is not None]
    return "".join(f", {each}" for each in [*words, *(f"posture {name}" for name in terms.posture)])


def counted(count: int, noun: str) -> str:
    """Returns a number and what it counts, in its plural where that is due."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def named(names: Iterable[str]) -> str:
    """Returns some names in a row; of many, the first ones and how many more there are."""
    shown = list(names)
    more = len(shown) - _MOST_NAMES
    return ", ".join([*shown[:_MOST_NAMES], *([f"and {more:,} more"] if more > 0 else [])])


def named_with_admins(recipients: Iterable[str], admins: Iterable[str]) -> str:
    """Returns who may open in a row, then everybody who may grant besides: of those, none goes unnamed."""
    granting = [f"{name} (may grant)" for name in admins]
    return ", ".join(filter(None, [named(recipients), *granting]))


def dim(text: str) -> str:
    """Returns `text` in a fainter colour where colours are welcome on stderr."""
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return text
    return f"\x1b[2m{text}\x1b[0m"


@contextmanager
def progress(
    verb: str, total: int, words: Callable[[float], str] = human_size
) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes what was done since its last call; shows a line on a terminal.

    Args:
        verb: what is going on.
        total: how much there is to do, in bytes or in what else `words` describes.
        words: turns a count into text.
    """
    meter = _Meter(verb, total, words, show=sys.stderr.isatty())
    try:
        yield meter.advance
    finally:
        meter.clear()


class _Meter:
    def __init__(self, verb: str, total: int, words: Callable[[float], str], *, show: bool) -> None:
        self._verb, self._total, self._words, self._show = verb, max(total, 1), words, show
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
        rate = self._words(self._done / seconds)
        line = f"{self._verb} {share:3d} %  {self._words(self._done)} of {self._words(self._total)}, {rate}/s"
        sys.stderr.write(f"\r\x1b[K{dim(line)}")
        sys.stderr.flush()
