"""Work in a copy of this process that comes to an end, however busy the machine is otherwise."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Nobody waits for so many looks here, unless for ever.
_STUCK_AFTER = 40
_BETWEEN_LOOKS = 1.0
# Hundredths of a second: who only asks again and again whether it may go on uses no more meanwhile.
_ASKING = 200


def in_a_copy(work: Callable[[], int], *, processor_seconds: int | None = None) -> int | None:
    """Runs `work` in a copy of this process and ends whatever that started.

    Args:
        work: returns an exit code.
        processor_seconds: what one process may use at most; with it, a copy in which nobody does anything is
            ended, too. Times that passed would say nothing on a machine with more to do.

    Returns:
        The exit code; None if it was ended.
    """
    child = os.fork()
    if child == 0:
        _work(work, processor_seconds)
    watch = _Watch(child)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end(child)
            code = os.waitstatus_to_exitcode(status)
            return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
        if processor_seconds is not None and watch.is_stuck():
            _end(child)
        time.sleep(0.02)


def _work(work: Callable[[], int], processor_seconds: int | None) -> None:
    os.setsid()
    code = 99
    try:
        if processor_seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
        code = work()
    finally:
        os._exit(code)


class _Watch:
    """Sees whether somebody of a session still does something."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._used = self._asleep = 0
        self._looked = time.monotonic()

    def is_stuck(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _BETWEEN_LOOKS:
            return False
        self._looked = now
        found = list(self._processes())
        used = sum(ticks for _, ticks in found)
        if used > self._used + _ASKING:
            self._used, self._asleep = used, 0
        # Who is ready to run and never gets to it is not stuck.
        self._asleep += all(state not in "RD" for state, _ in found)
        return self._asleep > _STUCK_AFTER

    def _processes(self) -> Iterator[tuple[str, int]]:
        """Yields the state of each process of the session, and the clock ticks that it has used."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # After the name, which may hold anything. Source: proc_pid_stat(5).
                state, *fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self._session:
                    yield state, int(fields[10]) + int(fields[11])


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
