"""Time with floors: what has to begin, what may have ended, and what a device may remember."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from modelkeep.clock import BUILT_AT, TOLERANCE, Clock, Now, is_synchronised
from modelkeep.errors import RefusedError


def clock(reading: float, *, vouched: bool = False, built: int = 100) -> Clock:
    return Clock(lambda: reading, is_vouched=lambda: vouched, built=built)


def test_a_time_that_a_publisher_wrote_ends_things_and_begins_none() -> None:
    assert clock(500).now(900) == Now(begins=500, ends=900)
    assert clock(500).now(400) == Now(begins=500, ends=500)
    assert clock(500).now() == Now(begins=500, ends=500)


@pytest.mark.parametrize("reading", [0, 99, 100, 150, 199])
def test_a_clock_that_cannot_be_right_gives_way_to_what_is_known(reading: float) -> None:
    known = clock(reading).no_earlier_than(200)
    assert known.now() == Now(200, 200)
    assert not known.plausible
    assert known.no_earlier_than(50).floor == 200
    assert clock(reading).plausible is (reading >= 100)


def test_what_an_authority_signed_counts_for_begins() -> None:
    assert clock(0).witnessing(700).now() == Now(700, 700)
    assert clock(800).witnessing(700).now() == Now(800, 800)
    assert clock(0).witnessing(700).witnessing(600).witnessed == 700


@pytest.mark.parametrize(
    ("reading", "floor", "witnessed", "expiries", "remembered"),
    [
        (500, 0, 0, (), 0),
        (500, 300, 0, (), 300),
        (500, 300, 0, (900,), 500),
        (5000, 300, 0, (900,), 900),
        (5000, 300, 0, (900, 700), 700),
        (5000, 800, 0, (700,), 800),
        (50, 0, 0, (900,), 0),
        (250, 300, 0, (900,), 300),
        (50, 300, 600, (900,), 600),
        (50, 300, 6000, (900,), 900),
    ],
)
def test_what_is_remembered_ends_with_the_documents_that_can_mend_it(
    reading: float, floor: int, witnessed: int, expiries: tuple[int, ...], remembered: int
) -> None:
    known = clock(reading).no_earlier_than(floor).witnessing(witnessed)
    assert known.persistable(*expiries) == remembered


def test_a_time_of_sealing_that_lies_ahead() -> None:
    ahead = 500 + TOLERANCE
    clock(500).check_sealed_at(2**53)
    clock(500, vouched=True).check_sealed_at(ahead)
    with pytest.raises(RefusedError, match="in the future"):
        clock(500, vouched=True).check_sealed_at(ahead + 1)
    clock(2**40).witnessing(500).check_sealed_at(ahead)
    with pytest.raises(RefusedError, match="later than the time that was signed"):
        clock(2**40).witnessing(500).check_sealed_at(ahead + 1)


def test_a_function_is_taken_at_its_word_and_the_systems_clock_is_not() -> None:
    told = Clock.of(lambda: 12.9)
    assert (told.now(), told.plausible, told.is_vouched()) == (Now(12, 12), True, False)
    assert Clock.of(told) is told
    system = Clock.of(time.time)
    assert system == Clock()
    assert system.for_begins() >= BUILT_AT
    assert isinstance(is_synchronised(), bool)


@pytest.mark.parametrize(("state", "is_kept"), [(0, True), (4, True), (5, False), (-1, False)])
def test_a_clock_is_kept_unless_the_kernel_says_that_it_is_not(
    state: int, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelkeep.clock._adjtimex", lambda: lambda _timex: state)
    assert is_synchronised() is is_kept


def test_a_clock_between_its_floors() -> None:
    moment = Clock(lambda: 100.0, floor=50, is_vouched=lambda: True, built=10)
    assert (moment.for_begins(), moment.for_ends(), moment.for_ends(200), moment.for_ends(5)) == (
        100,
        100,
        200,
        100,
    )
    assert (moment.believed(200), moment.believed(70), moment.believed(None)) == (100, 70, None)
    assert replace(moment, is_vouched=lambda: False).believed(200) == 200
    assert replace(moment, floor=100).plausible
    assert not replace(moment, floor=101).plausible
    assert replace(moment, floor=60).persistable() == 60
    assert (moment.persistable(70), moment.persistable(40), moment.persistable(900)) == (70, 50, 100)
    assert replace(moment, floor=101).persistable(900) == 101
    assert moment.witnessing(None) is moment
    assert moment.witnessing(7).witnessing(5).witnessed == 7
    with pytest.raises(RefusedError, match="sealed in the future"):
        moment.check_sealed_at(100 + 86_401)
    moment.check_sealed_at(100 + 86_400)
    replace(moment, is_vouched=lambda: False).check_sealed_at(10**9)


def test_nobody_vouches_where_the_kernel_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkeep.clock._adjtimex", lambda: lambda _buffer: 0)
    assert is_synchronised()
    monkeypatch.setattr("modelkeep.clock.sys.platform", "darwin")
    assert not is_synchronised()
