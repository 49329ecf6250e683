"""The granter: what is granted, renewed, asked, and left to a person."""

from __future__ import annotations

import pytest

from modelkeep.granter.journal_entry import Event
from support.granter import DAY, NOW, Desk
from support.workshop import Workshop


@pytest.fixture
def desk(workshop: Workshop) -> Desk:
    return Desk(workshop)


def test_device_on_the_roster_is_granted_for_thirty_days_and_renewed_from_a_third_on(desk: Desk) -> None:
    desk.list("pi-1")
    desk.ask("pi-1")
    assert (desk.run().issued, desk.waiting()) == (1, [])
    (grant,) = desk.grants("pi-1")
    assert grant.header.constraints.not_after == NOW + 30 * DAY
    assert desk.opens("pi-1", NOW + 30 * DAY) and not desk.opens("pi-1", NOW + 30 * DAY + 1)
    desk.ask("pi-1")
    tally = desk.run(NOW + 10 * DAY - 1)
    assert (tally.issued, tally.not_due, desk.grants("pi-1")) == (0, 1, [grant])
    desk.ask("pi-1")
    assert desk.run(NOW + 10 * DAY).issued == 1
    assert desk.opens("pi-1", NOW + 40 * DAY)
    assert [entry.facts["first"] for entry in desk.journal(Event.GRANTED)] == [True, False]
