"""Genuine bundles of the trusted publisher that are not the one that is wanted."""

from __future__ import annotations

import datetime

import pytest

from modelkeep.errors import ExpiredError, RollbackError, WrongModelError
from support.attacker import Forgery
from support.workshop import Workshop


def test_another_model_of_the_same_publisher_is_refused(workshop: Workshop) -> None:
    other = workshop.seal(model="acme/toy")
    with pytest.raises(WrongModelError, match="acme/toy"):
        workshop.open(other)


@pytest.mark.parametrize(
    "model", ["acme/detector2", "acme/detecto", "acme", "acme/detector/v2", "Acme/detector"]
)
def test_a_model_id_that_resembles_the_wanted_one_is_refused(workshop: Workshop, model: str) -> None:
    with pytest.raises(WrongModelError):
        workshop.open(workshop.seal(model=model))


def test_an_older_release_is_refused(workshop: Workshop) -> None:
    old, new = workshop.seal(epoch=6), workshop.seal(epoch=7)
    workshop.open(new, verifier=workshop.verifier(minimum_epoch=7)).close()
    with pytest.raises(RollbackError, match="epoch 6 is below 7"):
        workshop.open(old, verifier=workshop.verifier(minimum_epoch=7))


def test_a_release_older_than_the_accepted_age_is_refused(workshop: Workshop) -> None:
    bundle = workshop.seal()
    sealed_at = Forgery(bundle).manifest["sealed_at"]
    day = datetime.timedelta(days=1)
    young = workshop.verifier(maximum_age=day, clock=lambda: sealed_at + 86_400)
    workshop.open(bundle, verifier=young).close()
    with pytest.raises(ExpiredError, match="more than the accepted 86400"):
        workshop.open(bundle, verifier=workshop.verifier(maximum_age=day, clock=lambda: sealed_at + 86_401))
