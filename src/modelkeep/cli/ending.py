"""Being told to end is no reason to leave something half done."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Of `systemctl stop`, `timeout` and `kill`, and of a line that breaks; not every system has the second.
_NAMES = ("SIGTERM", "SIGHUP")


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Lets signals that end a process end what is going on as Ctrl-C does, for the length of a block.

    The exit code is 128 and the signal's number, as a shell says it. A signal that somebody ignores or
    handles already is left alone.
    """
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    handled = [number for number in numbers if _is_ours(number)]
    for number in handled:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _is_ours(number: int) -> bool:
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(number) is signal.SIG_DFL


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)
