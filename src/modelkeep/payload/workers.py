"""Threads that share out the segments of a stream; the AEADs and hashes release the GIL."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

# Below this a second thread costs more than it brings; docs/benchmarks.md has the measurement.
ONE_THREAD_BELOW = 6 * 2**20
# What a thread must have to do: each has buffers of its own.
BYTES_PER_THREAD = 4 * 2**20
# Desks beyond those of the threads: one is filled while another waits for its turn.
SPARE_DESKS = 1

InTurn = Callable[[], object]
SegmentWork = Callable[[int], InTurn | None]
Preparation = Callable[[], AbstractContextManager[SegmentWork]]


class _Waiting(NamedTuple):
    """What is left to do for a segment in its turn, and the desk that is free afterwards."""

    in_turn: InTurn
    desk: SegmentWork


def thread_count(size: int) -> int:
    """Returns how many threads to use for `size` bytes."""
    if size < ONE_THREAD_BELOW:
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, 1 + size // BYTES_PER_THREAD)


class Workers:
    """Runs one piece of work per segment, in ascending order of the claims.

    Work is done at a desk: what a preparation gave, and its buffers. What must be done in the order of
    the segments, as digests over a whole stream, waits at its desk: whoever brings the one that is due does
    it, and all that wait behind it, while the others go on at free desks.

    The first failure stops everybody and is raised to the caller.
    """

    def __init__(self, segments: int) -> None:
        self._claims = iter(range(segments))
        self._changed = threading.Condition()
        self._desks = ExitStack()
        self._free: list[SegmentWork] = []
        self._desks_to_make = 0
        self._waiting: dict[int, _Waiting] = {}
        self._next_turn = 0
        self._turn_taken = False
        self._others = 0
        self._closed = False
        self._failure: BaseException | None = None

    def run(self, threads: int, prepare: Preparation) -> None:
        """Works through all segments.

        Args:
            threads: how many threads, the calling one included.
            prepare: entered once per desk, left when all threads have ended; gives what to do with a
                segment number. That returns what is left to do in turn: for every segment, or for none.

        Raises:
            BaseException: whatever the work of some thread raised first.
        """
        self._desks_to_make = threads + SPARE_DESKS
        with self._desks:
            self._run(threads, prepare)
        if self._failure is not None:
            raise self._failure

    def _run(self, threads: int, prepare: Preparation) -> None:
        try:
            self._start(threads - 1, prepare)
            self._work(prepare)
        except BaseException as error:
            self._fail(error)
        finally:
            self._wait_for_others()

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
                with self._changed:
                    self._closed = True
                    self._changed.wait_for(lambda: self._others == 0)
                return
            except KeyboardInterrupt as interrupt:
                self._fail(interrupt)

    def _work_beside(self, prepare: Preparation) -> None:
        with self._changed:
            if self._closed:
                return
            self._others += 1
        try:
            self._work(prepare)
        finally:
            with self._changed:
                self._others -= 1
                self._changed.notify_all()

    def _work(self, prepare: Preparation) -> None:
        try:
            while (claim := self._claim(prepare)) is not None:
                index, desk = claim
                self._put_down(index, desk, desk(index))
        except BaseException as error:  # a KeyboardInterrupt must stop the other threads too
            self._fail(error)

    def _claim(self, prepare: Preparation) -> tuple[int, SegmentWork] | None:
        with self._changed:
            # The desk first: the segment that everybody waits for must not wait for a desk itself.
            self._changed.wait_for(lambda: self._free or self._desks_to_make or self._failure is not None)
            index = None if self._failure is not None else next(self._claims, None)
            if index is None:
                return None
            return index, self._free.pop() if self._free else self._new_desk(prepare)

    def _new_desk(self, prepare: Preparation) -> SegmentWork:
        self._desks_to_make -= 1
        return self._desks.enter_context(prepare())

    def _put_down(self, index: int, desk: SegmentWork, in_turn: InTurn | None) -> None:
        if in_turn is None:
            self._free.append(desk)
            return
        with self._changed:
            self._waiting[index] = _Waiting(in_turn, desk)
            due = self._due()
        while due is not None:
            due.in_turn()
            due = self._after(due)

    def _after(self, done: _Waiting) -> _Waiting | None:
        with self._changed:
            self._turn_taken = False
            self._next_turn += 1
            self._free.append(done.desk)
            self._changed.notify()
            return self._due()

    def _due(self) -> _Waiting | None:
        if self._turn_taken or self._next_turn not in self._waiting:
            return None
        self._turn_taken = True
        return self._waiting.pop(self._next_turn)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._failure is None:
                self._failure = error
            self._changed.notify_all()
