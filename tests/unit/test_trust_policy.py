from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from modelkeep.errors import ExpiredError, RefusedError, RollbackError, UsageError, WrongModelError
from modelkeep.trust.policy import AllOf, AnyOf, ExpectModel, MaximumAge, MinimumEpoch, UnsafeAnyModel
from modelkeep.trust.release import Release
from support.manifests import PLAIN

SEALED_AT = 1_750_000_000
DAY = 86_400
MANIFEST = replace(PLAIN, sealed_at=SEALED_AT)


def at(now: int) -> Release:
    return Release(MANIFEST, None, now)


def test_expected_model_passes_and_others_do_not() -> None:
    ExpectModel("acme/detector")(at(0))
    UnsafeAnyModel()(at(0))
    with pytest.raises(WrongModelError, match=r"'acme/detector', not 'acme/detector2'"):
        ExpectModel("acme/detector2")(at(0))


def test_expected_model_must_be_a_model_id() -> None:
    with pytest.raises(UsageError, match="not a model id"):
        ExpectModel("acme//detector")


def test_epoch_floor_is_inclusive() -> None:
    MinimumEpoch(7)(at(0))
    with pytest.raises(RollbackError, match="epoch 7 is below 8"):
        MinimumEpoch(8)(at(0))


def test_age_limit_is_inclusive() -> None:
    week = MaximumAge(datetime.timedelta(days=7))
    week(at(SEALED_AT + 7 * DAY))
    week(at(SEALED_AT - DAY))
    with pytest.raises(ExpiredError, match="sealed 604801 seconds ago"):
        week(at(SEALED_AT + 7 * DAY + 1))


def test_age_limit_must_be_positive() -> None:
    with pytest.raises(UsageError):
        MaximumAge(datetime.timedelta(0))


def test_all_of_gives_the_first_refusal() -> None:
    AllOf(MinimumEpoch(7), ExpectModel("acme/detector"))(at(0))
    with pytest.raises(RollbackError):
        AllOf(MinimumEpoch(8), ExpectModel("other"))(at(0))


def test_any_of_needs_one_and_tells_every_reason() -> None:
    AnyOf(ExpectModel("other"), ExpectModel("acme/detector"))(at(0))
    with pytest.raises(RefusedError, match="not 'other'; epoch 7 is below 9"):
        AnyOf(ExpectModel("other"), MinimumEpoch(9))(at(0))


@pytest.mark.parametrize("combination", [AllOf, AnyOf])
def test_empty_combinations_are_refused(combination: type[AllOf] | type[AnyOf]) -> None:
    with pytest.raises(UsageError, match="at least one"):
        combination()
