"""Following a repository: what is offered, whose turn it is, and what an update comes to."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from modelkeep.golden import Golden, GoldenCase
from modelkeep.updates.client.notes import FollowingNotes, Outcome
from support.following import Follower
from support.tuf_repository import TufRepository
from support.workshop import Workshop

X = np.ones((1, 4), np.float32)
# Not what the usual model makes of it.
GOLDEN_OF_ANOTHER = Golden((GoldenCase({"x": X}, {"y": X * 5}),))


@pytest.fixture
def repository(workshop: Workshop) -> TufRepository:
    return TufRepository(workshop.folder / "repository")


@pytest.fixture
def follower(workshop: Workshop, repository: TufRepository) -> Follower:
    return Follower(workshop, repository)


def test_releases_are_followed_one_after_the_other(follower: Follower) -> None:
    repository, workshop = follower.repository, follower.workshop
    repository.offer(workshop.seal(epoch=1))
    first = follower.update()
    assert (first.outcome, follower.epoch()) == (Outcome.UPDATED, 1)
    repository.offer(workshop.seal(epoch=2))
    assert follower.check().outcome is Outcome.NOT_TRIED
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 2)
    again = follower.update()
    assert (again.outcome, again.installed) == (Outcome.CURRENT, None)


def test_nothing_new_costs_two_requests_and_no_write(follower: Follower) -> None:
    follower.repository.offer(follower.workshop.seal())
    follower.update()
    follower.update()
    before = _stamps(follower)
    report = follower.update()
    assert report.requests == 2
    assert _stamps(follower) == before


def test_release_that_fails_its_trial_is_not_fetched_again(follower: Follower) -> None:
    follower.repository.offer(follower.workshop.seal(epoch=1))
    follower.update()
    follower.repository.offer(follower.workshop.seal(epoch=2, golden=GOLDEN_OF_ANOTHER))
    assert (follower.update().outcome, follower.epoch()) == (Outcome.RETURNED, 1)
    assert (follower.update().outcome, follower.epoch()) == (Outcome.FAILED_BEFORE, 1)
    notes = FollowingNotes.read(follower.folder)
    assert notes is not None and notes.outcome is Outcome.FAILED_BEFORE
    # For readers of a trust file nobody has tried it yet.
    follower.trust_days = 365
    assert (follower.update().outcome, follower.epoch()) == (Outcome.RETURNED, 1)
    assert follower.update().outcome is Outcome.FAILED_BEFORE


def test_release_that_waits_makes_room_for_the_one_that_is_offered(follower: Follower) -> None:
    repository, workshop = follower.repository, follower.workshop
    repository.offer(workshop.seal(epoch=1))
    follower.update()
    repository.offer(workshop.seal(epoch=2))
    newest = workshop.seal(epoch=3)
    repository.offer(newest)
    with follower.updater() as updater:
        assert updater.update(trial=False).outcome is Outcome.NOT_TRIED
    repository.offer(newest, paused=True)
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 2)


def test_without_the_extra_a_typed_error_names_it() -> None:
    code = (
        "import sys, modelkeep as mk\n"
        "assert 'tuf' not in sys.modules\n"
        "sys.modules['tuf'] = None\n"
        "try: mk.Updater\n"
        "except mk.UnavailableError as error: assert 'modelkeep[updates]' in error.hint\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _stamps(follower: Follower) -> dict[str, int]:
    files = [each for each in follower.folder.rglob("*") if each.is_file()]
    return {str(each): each.stat().st_mtime_ns for each in files}
