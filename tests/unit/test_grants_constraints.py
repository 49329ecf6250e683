from typing import Any

import pytest

from modelkeep import canonical
from modelkeep.clock import LATEST_TIME, Now
from modelkeep.errors import (
    ExpiredError,
    MalformedError,
    PostureError,
    RefusedError,
    UnsupportedVersionError,
    UsageError,
)
from modelkeep.grants.constraints import Constraints, _date

FULL = Constraints(not_before=100, not_after=200, posture=("tpm", "boot"), delegate=True)


@pytest.mark.parametrize(
    ("constraints", "encoded"),
    [
        (Constraints(), b"{}"),
        (Constraints(not_before=0), b'{"not_before":0}'),
        (Constraints(delegate=True), b'{"delegate":true}'),
        (FULL, b'{"delegate":true,"not_after":200,"not_before":100,"posture":["boot","tpm"]}'),
    ],
)
def test_json_holds_only_what_is_set(constraints: Constraints, encoded: bytes) -> None:
    assert canonical.encode(constraints.to_json()) == encoded
    assert Constraints.from_json(canonical.decode(encoded, "constraints")) == constraints


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"not_before": -1},
        {"not_before": "1"},
        {"not_before": None},
        {"not_after": True},
        {"not_after": LATEST_TIME + 1},
        {"posture": []},
        {"posture": ["b", "a"]},
        {"posture": ["a", "a"]},
        {"posture": ["A"]},
        {"posture": [1]},
        {"posture": [["a"]]},
        {"posture": "a"},
        {"posture": [f"p{number:02}" for number in range(17)]},
        {"delegate": False},
        {"delegate": 1},
        {"ext": 1},
    ],
)
def test_malformed_constraints_are_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        Constraints.from_json(value)


def test_unknown_constraint_asks_for_an_update() -> None:
    with pytest.raises(UnsupportedVersionError, match="geofence") as caught:
        Constraints.from_json({"geofence": "eu"})
    assert caught.value.hint == "update modelkeep"


def test_extensions_mean_nothing() -> None:
    assert Constraints.from_json({"ext": {"ticket": "A-1"}}) == Constraints()


@pytest.mark.parametrize("now", [100, 150, 200])
def test_both_ends_of_the_time_are_inside(now: int) -> None:
    Constraints(not_before=100, not_after=200).check(Now(now, now))


def test_the_last_second_of_calendars_is_named_as_a_date() -> None:
    with pytest.raises(ExpiredError, match="9999-12-31T23:59:59Z"):
        Constraints(not_before=LATEST_TIME).check(Now(0, 0))


def test_too_early_names_both_dates() -> None:
    with pytest.raises(
        ExpiredError, match=r"not valid before 1970-01-01T00:01:40Z; it is 1970-01-01T00:01:39Z"
    ):
        FULL.check(Now(99, 99), frozenset({"boot", "tpm"}))


def test_too_late_names_both_dates() -> None:
    with pytest.raises(ExpiredError, match=r"expired on 1970-01-01T00:03:20Z; it is 1970-01-01T00:03:21Z"):
        FULL.check(Now(201, 201), frozenset({"boot", "tpm"}))


@pytest.mark.parametrize("now", [-1, 2**60])
def test_clocks_beyond_every_calendar_give_an_expiry_and_no_other_error(now: int) -> None:
    with pytest.raises(ExpiredError, match=f"second {now}"):
        Constraints(not_before=0, not_after=LATEST_TIME).check(Now(now, now))


def test_what_has_to_begin_and_what_may_have_ended_are_judged_by_two_times() -> None:
    times = Constraints(not_before=100, not_after=200)
    times.check(Now(begins=100, ends=200))
    with pytest.raises(ExpiredError, match="not valid before"):
        times.check(Now(begins=99, ends=150))
    with pytest.raises(ExpiredError, match="expired"):
        times.check(Now(begins=150, ends=201))


def test_missing_posture_is_named_and_present_posture_is_not() -> None:
    with pytest.raises(PostureError, match=r"not shown: tpm$"):
        FULL.check(Now(150, 150), frozenset({"boot", "other"}))
    FULL.check(Now(150, 150), frozenset({"boot", "tpm"}))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Constraints(), Constraints(), Constraints()),
        (Constraints(not_before=1), Constraints(), Constraints(not_before=1)),
        (Constraints(not_before=1), Constraints(not_before=2), Constraints(not_before=2)),
        (Constraints(not_after=1), Constraints(), Constraints(not_after=1)),
        (Constraints(not_after=1), Constraints(not_after=2), Constraints(not_after=1)),
        (Constraints(posture=("a",)), Constraints(posture=("b", "a")), Constraints(posture=("a", "b"))),
        (Constraints(delegate=True), Constraints(), Constraints()),
        (Constraints(delegate=True), Constraints(delegate=True), Constraints(delegate=True)),
        (Constraints(not_before=5), Constraints(not_after=4), Constraints(not_before=5, not_after=4)),
    ],
)
def test_narrowing_is_the_intersection(one: Constraints, other: Constraints, expected: Constraints) -> None:
    assert one.narrow(other) == other.narrow(one) == expected


def test_a_time_that_never_comes_is_told_before_a_grant_is_made() -> None:
    for begin, end in [(None, None), (5, None), (None, 4), (5, 5)]:
        Constraints(not_before=begin, not_after=end).check_window()
    with pytest.raises(UsageError, match="never counts"):
        Constraints(not_before=5, not_after=4).check_window()


def test_an_empty_time_is_never_valid() -> None:
    never = Constraints(not_before=5).narrow(Constraints(not_after=4))
    for now in range(3, 8):
        with pytest.raises(ExpiredError):
            never.check(Now(now, now))


def test_passing_on_needs_delegate_and_keeps_every_demand() -> None:
    with pytest.raises(RefusedError, match="passed on"):
        Constraints().delegated(Constraints())
    assert FULL.delegated(Constraints(not_after=500)) == Constraints(100, 200, ("boot", "tpm"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"not_before": -1},
        {"not_after": LATEST_TIME + 1},
        {"posture": ("Not A Name",)},
        {"posture": tuple(f"p{number}" for number in range(17))},
    ],
)
def test_constraints_that_could_not_be_read_back_cannot_be_made(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Constraints(**arguments)


def test_the_ends_of_calendars_are_dates_and_what_lies_beyond_is_a_number() -> None:
    assert _date(0) == "1970-01-01T00:00:00Z"
    assert _date(LATEST_TIME) == "9999-12-31T23:59:59Z"
    assert (_date(-1), _date(LATEST_TIME + 1)) == ("second -1", "second 253402300800")
