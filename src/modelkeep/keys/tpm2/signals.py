"""Signals during an operation of the TPM: they take effect when it holds nothing of ours any more.

A signal cuts the library's waiting short: what the TPM loaded meanwhile stays loaded, and three such
objects fill a TPM. An exception between the TPM's answer and the note that something is loaded does
the same. A TPM that hangs is left with SIGQUIT (Ctrl-backslash) or SIGKILL.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Those that say that the process is broken, and one way out.
_LET_THROUGH = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGQUIT,
}
_HELD = signal.valid_signals() - _LET_THROUGH


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Keeps signals from this thread until the block is done, and Ctrl-C from the whole process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        with _interrupts_held_back():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    # Another thread may take the signal for the main one, whose handler then runs whatever its mask.
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)
