"""Being told to end is no reason to leave something half done, nor to say that something else is wrong."""

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
    told: list[int] = []

    def end(number: int, _frame: object) -> None:
        told.append(number)
        _end(number)

    handled = {number: signal.signal(number, end) for number in _ours()}
    try:
        yield
    except Exception:
        # A library that was being imported says that it cannot be, instead of letting the signal through.
        if told:
            _end(told[0])
        raise
    finally:
        for number, before in handled.items():
            signal.signal(number, before)


def _ours() -> list[int]:
    """Returns the signals whose effect is still the one that Python starts with."""
    if threading.current_thread() is not threading.main_thread():
        return []
    usual: dict[int, object] = {signal.SIGINT: signal.default_int_handler}
    usual |= {getattr(signal, name): signal.SIG_DFL for name in _NAMES if hasattr(signal, name)}
    return [number for number, handler in usual.items() if signal.getsignal(number) is handler]


def _end(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
