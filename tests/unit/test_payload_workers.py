"""Workers: every segment once, in-turn work in order, and the first failure stops everybody."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modelkeep.payload.workers import (
    BYTES_PER_THREAD,
    ONE_THREAD_BELOW,
    SPARE_DESKS,
    InTurn,
    Preparation,
    SegmentWork,
    Workers,
    thread_count,
)


def preparation(work: SegmentWork, log: list[str] | None = None) -> Preparation:
    @contextmanager
    def prepare() -> Iterator[SegmentWork]:
        calls = [] if log is None else log
        calls.append("begin")
        try:
            yield work
        finally:
            calls.append("end")

    return prepare


@pytest.mark.parametrize("threads", [1, 2, 5, 50])
def test_every_segment_is_worked_on_once_and_in_turn(threads: int) -> None:
    done, turns, log = list[int](), list[int](), list[str]()

    def work(index: int) -> InTurn:
        time.sleep(0.002 if index % 3 == 0 else 0)
        done.append(index)
        return lambda: turns.append(index)

    Workers(40).run(threads, preparation(work, log))
    assert sorted(done) == turns == list(range(40))
    assert log.count("begin") == log.count("end") <= threads + SPARE_DESKS


def test_others_go_on_during_a_turn_and_what_waits_is_done_by_the_same_hand() -> None:
    turns, log = list[tuple[int, int]](), list[str]()
    turn_is_taken, third_is_done = threading.Event(), threading.Event()

    def take_turn(index: int) -> None:
        turn_is_taken.set()
        assert third_is_done.wait(60)
        turns.append((index, threading.get_ident()))

    def work(index: int) -> InTurn:
        assert index == 0 or turn_is_taken.wait(60)
        if index == 2:
            third_is_done.set()
        return lambda: take_turn(index)

    Workers(3).run(2, preparation(work, log))
    assert [index for index, _ in turns] == [0, 1, 2]
    assert turns[0][1] == turns[1][1]
    assert log == ["begin"] * 3 + ["end"] * 3


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_failure_is_raised_after_every_thread_has_ended(threads: int, in_turn: bool) -> None:
    done, log = list[int](), list[str]()

    def fail() -> None:
        time.sleep(0.02)  # the others wait for a desk by now
        raise ValueError("segment 7")

    def work(index: int) -> InTurn:
        if index == 7 and not in_turn:
            fail()
        done.append(index)
        return fail if index == 7 else int

    with pytest.raises(ValueError, match="segment 7"):
        Workers(1000).run(threads, preparation(work, log))
    assert log.count("begin") == log.count("end") > 0
    assert len(done) <= 7 + threads + SPARE_DESKS


def test_without_turns_every_thread_has_one_desk() -> None:
    log: list[str] = []
    Workers(200).run(3, preparation(lambda _index: None, log))
    assert log.count("begin") <= 3


def test_a_preparation_that_fails_is_reported() -> None:
    @contextmanager
    def prepare() -> Iterator[SegmentWork]:
        raise MemoryError
        yield lambda _index: None

    with pytest.raises(MemoryError):
        Workers(3).run(2, prepare)


def test_an_interrupt_while_waiting_for_others_waits_for_their_end() -> None:
    main, log = threading.get_ident(), list[str]()
    other_works, main_is_done = threading.Event(), threading.Event()

    def work(_index: int) -> None:
        if threading.get_ident() == main:
            other_works.wait()
            main_is_done.set()
            return
        other_works.set()
        main_is_done.wait()
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)

    with pytest.raises(KeyboardInterrupt):
        Workers(2).run(2, preparation(work, log))
    assert sorted(log) == ["begin", "begin", "end", "end"]


def test_a_thread_that_begins_too_late_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[threading.Thread] = []
    start = threading.Thread.start

    # A plain function, which becomes a method as the original is one.
    def keep(thread: threading.Thread) -> None:
        late.append(thread)

    monkeypatch.setattr(threading.Thread, "start", keep)
    done: list[int] = []
    log: list[str] = []
    Workers(3).run(2, preparation(done.append, log))
    start(late[0])
    late[0].join()
    assert (done, log) == ([0, 1, 2], ["begin", "end"])


def test_an_interrupt_while_threads_start_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupt)
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        Workers(5).run(4, preparation(done.append))
    assert done == []


def test_fewer_threads_do_the_work_where_no_more_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    Workers(5).run(4, preparation(done.append))
    assert done == [0, 1, 2, 3, 4]


def test_small_streams_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_count(ONE_THREAD_BELOW - 1) == 1
    assert thread_count(2**40) == len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: range(64))
    assert thread_count(ONE_THREAD_BELOW) == 1 + ONE_THREAD_BELOW // BYTES_PER_THREAD
    monkeypatch.delattr(os, "sched_getaffinity")
    assert thread_count(2**40) == os.cpu_count()
