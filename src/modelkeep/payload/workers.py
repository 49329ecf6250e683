"""Threads that share out the segments of a stream; the AEADs and hashes release the GIL."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

# Below this a second thread costs more than it brings; docs/benchmarks.md has the measurement.
ONE_THREAD_BELOW = 6 * 2**20
# What a thread must have to do: each has buffers of its own.
BYTES_PER_THREAD = 4 * 2**20

SegmentWork = Callable[[int], None]
Preparation = Callable[[], AbstractContextManager[SegmentWork]]


def thread_count(size: int) -> int:
    """Returns how many threads to use for `size` bytes."""
    if size < ONE_THREAD_BELOW:
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, 1 + size // BYTES_PER_THREAD)


class Workers:
    """Runs one piece of work per segment, in ascending order of the claims.

    The first failure stops everybody and is raised to the caller.
    """

    def __init__(self, segments: int) -> None:
        self._claims = iter(range(segments))
        self._lock = threading.Lock()
        self._turn = threading.Condition()
        self._next_turn = 0
        self._others = 0
        self._closed = False
        self._failure: BaseException | None = None

    def run(self, threads: int, prepare: Preparation) -> None:
        """Works through all segments.

        Args:
            threads: how many threads, the calling one included.
            prepare: entered once per thread; gives what to do with a segment number.

        Raises:
            BaseException: whatever the work of some thread raised first.
        """
        try:
            self._start(threads - 1, prepare)
            self._work(prepare)
        except BaseException as error:
            self._fail(error)
        finally:
            self._wait_for_others()
        if self._failure is not None:
            raise self._failure

    def in_turn(self, index: int, work: Callable[[], None]) -> None:
        """Runs `work` after that of all lower segments: for digests over the whole stream."""
        with self._turn:
            self._turn.wait_for(lambda: self._next_turn == index or self._failure is not None)
        if self._failure is not None:
            return
        work()
        with self._turn:
            self._next_turn = index + 1
            self._turn.notify_all()

    def _start(self, count: int, prepare: Preparation) -> None:
        # Where no more threads are allowed, fewer do the work.
        with contextlib.suppress(RuntimeError):
            for _ in range(count):
                threading.Thread(target=self._work_beside, args=(prepare,)).start()

    def _wait_for_others(self) -> None:
        # Nobody may leave while a thread still writes into memory that is about to be wiped.
        # Not Thread.join: up to Python 3.12, an interrupted join takes the thread for ended.
        while True:
            try:
                with self._turn:
                    self._closed = True
                    self._turn.wait_for(lambda: self._others == 0)
                return
            except KeyboardInterrupt as interrupt:
                self._fail(interrupt)

    def _work_beside(self, prepare: Preparation) -> None:
        with self._turn:
            if self._closed:
                return
            self._others += 1
        try:
            self._work(prepare)
        finally:
            with self._turn:
                self._others -= 1
                self._turn.notify_all()

    def _work(self, prepare: Preparation) -> None:
        try:
            with prepare() as handle:
                while (index := self._claim()) is not None:
                    handle(index)
        except BaseException as error:  # a KeyboardInterrupt must stop the other threads too
            self._fail(error)

    def _claim(self) -> int | None:
        with self._lock:
            return None if self._failure is not None else next(self._claims, None)

    def _fail(self, error: BaseException) -> None:
        with self._turn:
            if self._failure is None:
                self._failure = error
            self._turn.notify_all()
