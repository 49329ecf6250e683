"""Attacks on the way from a repository to a device: old, mixed, endless, slow and foreign metadata."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from modelkeep.channels.channel import Channel
from modelkeep.channels.http import HttpChannel
from modelkeep.channels.pace import DownloadLimits
from modelkeep.errors import (
    ExpiredError,
    KeepError,
    MalformedError,
    RefusedError,
    RollbackError,
    SignatureError,
    UnavailableError,
)
from modelkeep.updates.client.notes import FollowingNotes, Outcome
from support.following import Follower
from support.tuf_repository import DAY, TufRepository
from support.web import Headers, reply, serving
from support.workshop import Workshop

NOW = time.time()
IMPATIENT = DownloadLimits(slowest=1000, window=0.3, silence=0.3, deadline=5, attempts=1, redirects=1)


@pytest.fixture
def follower(workshop: Workshop) -> Follower:
    """A device that has installed release 1 of a repository."""
    repository = TufRepository(workshop.folder / "repository")
    repository.offer(workshop.seal(epoch=1))
    follower = Follower(workshop, repository)
    follower.update()
    return follower


def refused(
    follower: Follower, kind: type[KeepError], place: Channel | Path | None = None, **options: Any
) -> None:
    """Has an update refused; what counts goes on counting, and opens."""
    with pytest.raises(kind):
        follower.update(place, **options)
    assert follower.epoch() == 1


def test_repository_of_somebody_else(follower: Follower) -> None:
    stranger = TufRepository(follower.workshop.folder / "stranger")
    stranger.versions["timestamp"] = 9
    stranger.offer(follower.workshop.seal(epoch=2))
    refused(follower, SignatureError, stranger.folder)


@pytest.mark.parametrize("role", ["models", "snapshot"])
def test_metadata_of_two_times_is_not_mixed(follower: Follower, role: str) -> None:
    repository = follower.repository
    old = repository.folder / "metadata" / f"1.{role}.json"
    repository.offer(follower.workshop.seal(epoch=2))
    shutil.copyfile(old, repository.folder / "metadata" / f"2.{role}.json")
    refused(follower, RefusedError)


def test_repository_that_is_frozen(follower: Follower) -> None:
    """Somebody shows the same for ever: it ends, opening goes on, and the device knows since when."""
    follower.clock = NOW + 8 * DAY
    refused(follower, ExpiredError)
    notes = FollowingNotes.read(follower.folder)
    assert notes is not None and notes.outcome is Outcome.REFUSED
    assert notes.stale_since(int(follower.clock)) == int(follower.repository.now) + 7 * DAY
    assert notes.stale_since(int(NOW)) is None


def test_clock_that_is_set_back_to_thaw_what_is_frozen(follower: Follower) -> None:
    """A time that has passed stays passed, as far as the trust file lets a device remember it."""
    follower.trust_days = 365
    follower.clock = NOW + 8 * DAY
    refused(follower, ExpiredError)
    follower.clock = NOW
    refused(follower, ExpiredError)


def test_clock_that_is_set_forward(follower: Follower) -> None:
    """Nothing is lost by it: what counts opens, and updates go on when the clock is right."""
    follower.clock = NOW + 3000 * DAY
    refused(follower, ExpiredError)
    follower.clock = NOW
    assert follower.update().outcome is Outcome.CURRENT


def test_repository_that_is_put_back(follower: Follower) -> None:
    old = follower.repository.copy(follower.workshop.folder / "old")
    follower.repository.write()
    follower.check()
    refused(follower, RollbackError, old)


def test_repository_and_metadata_directory_that_are_put_back(follower: Follower) -> None:
    """python-tuf by itself takes this: the device's state does not."""
    old = follower.repository.copy(follower.workshop.folder / "old")
    shutil.copytree(follower.metadata, follower.workshop.folder / "kept", symlinks=True)
    follower.repository.write()
    follower.check()
    shutil.rmtree(follower.metadata)
    shutil.copytree(follower.workshop.folder / "kept", follower.metadata, symlinks=True)
    refused(follower, RollbackError, old)
    shutil.rmtree(follower.metadata)
    refused(follower, RollbackError, old)


def test_files_without_end(follower: Follower) -> None:
    timestamp = follower.repository.folder / "metadata" / "timestamp.json"
    timestamp.write_bytes(timestamp.read_bytes() + b" " * 20_000)
    refused(follower, UnavailableError)


def test_server_without_end_or_haste(follower: Follower) -> None:
    """One byte at a time, or more than was announced: given up."""

    def drip(_asked: Headers, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            client.sendall(b"x")
            time.sleep(0.02)

    for answer in (drip, reply(200, {"Content-Length": str(2**40)})):
        with serving(answer) as web:
            refused(follower, UnavailableError, HttpChannel(_folder(web.url), limits=IMPATIENT))


def test_server_that_points_elsewhere(follower: Follower) -> None:
    """Wherever it leads to, only the repository's keys say what is current."""
    stranger = TufRepository(follower.workshop.folder / "stranger")
    root = stranger.first_root
    with (
        serving(reply(200, {"Content-Length": str(len(root))}, root)) as elsewhere,
        serving(reply(302, {"Location": elsewhere.url, "Content-Length": "0"})) as web,
    ):
        refused(follower, RefusedError, HttpChannel(_folder(web.url), limits=IMPATIENT))


@pytest.mark.parametrize("name", ["timestamp", "2.models"])
def test_metadata_that_is_cut_short(follower: Follower, name: str) -> None:
    follower.repository.offer(follower.workshop.seal(epoch=2))
    path = follower.repository.folder / "metadata" / f"{name}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    refused(follower, MalformedError)
    path.write_bytes(whole)
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 2)


def test_versions_pushed_up_with_a_stolen_key_are_recovered_from(follower: Follower) -> None:
    repository = follower.repository
    repository.versions["timestamp"] = 2**31
    repository.write_timestamp()
    follower.check()
    repository.versions |= {"timestamp": 5, "snapshot": 3}
    repository.write()
    refused(follower, RollbackError)
    repository.rotate("timestamp")
    repository.rotate("snapshot")
    repository.versions |= {"timestamp": 6}
    repository.write()
    assert follower.update().outcome is Outcome.CURRENT


def test_versions_beyond_what_a_device_can_remember(follower: Follower) -> None:
    follower.repository.versions["timestamp"] = 2**60
    follower.repository.write_timestamp()
    refused(follower, MalformedError)


def test_keys_that_changed_while_the_device_was_off_for_years(follower: Follower) -> None:
    """Every root in between has ended by then; the chain is walked all the same."""
    repository = follower.repository
    for year in (1, 2, 3):
        repository.now = NOW + year * 360 * DAY
        for role in ("root", "targets", "snapshot", "timestamp"):
            repository.rotate(role)
    follower.clock = repository.now
    repository.offer(follower.workshop.seal(epoch=2))
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 2)


def test_chain_of_roots_with_one_missing(follower: Follower) -> None:
    """With a root kept back, the keys that it replaced would count for ever."""
    repository = follower.repository
    repository.rotate("phase")
    repository.rotate("root")
    repository.offer(follower.workshop.seal(epoch=2), root=3)
    (repository.folder / "metadata" / "2.root.json").unlink()
    refused(follower, RefusedError)


def test_root_that_was_seen_stays_seen(follower: Follower) -> None:
    """A stolen key that was replaced signs on, where the new root is kept back and the directory put back."""
    thief = follower.repository.copy(follower.workshop.folder / "thief")
    kept = shutil.copytree(follower.metadata, follower.workshop.folder / "kept", symlinks=True)
    follower.repository.rotate("timestamp")
    follower.repository.write()
    follower.check()
    shutil.rmtree(follower.metadata)
    shutil.copytree(kept, follower.metadata, symlinks=True)
    refused(follower, RollbackError, thief)


def test_stolen_key_of_the_timestamp_shows_nothing_old(follower: Follower) -> None:
    """It can freeze until the snapshot ends, which its thief cannot sign, and no longer."""
    repository = follower.repository
    repository.write()
    follower.check()
    repository.versions["snapshot"] = 2
    repository.write_timestamp()
    refused(follower, RollbackError)
    repository.versions["snapshot"] = 3
    repository.now = follower.clock = NOW + 31 * DAY
    repository.write_timestamp()
    refused(follower, ExpiredError)


def test_stick_on_day_three(follower: Follower) -> None:
    repository = follower.repository
    repository.days |= {"timestamp": 1, "snapshot": 1}
    repository.offer(follower.workshop.seal(epoch=2))
    stick = repository.copy(follower.workshop.folder / "stick")
    follower.clock = NOW + 3 * DAY
    refused(follower, ExpiredError, stick)
    follower.clock = NOW + 92 * DAY
    refused(follower, ExpiredError, stick, offline=None)
    follower.clock = NOW + 3 * DAY
    repository.days["models"] = 2
    repository.write()
    refused(follower, ExpiredError, repository.folder, offline=None)
    repository.days["models"] = 365
    repository.write()
    assert (follower.update(repository.folder, offline=None).outcome, follower.epoch()) == (
        Outcome.UPDATED,
        2,
    )


def test_old_stick_after_a_newer_look(follower: Follower) -> None:
    """What is lenient about its end is not lenient about its place."""
    stick = follower.repository.copy(follower.workshop.folder / "stick")
    follower.repository.write()
    follower.check()
    refused(follower, RollbackError, stick, offline=None)


@pytest.mark.parametrize("missing", ["metadata/2.phase.json", "targets/phases"])
def test_mirror_that_has_not_everything(follower: Follower, missing: str) -> None:
    repository = follower.repository
    repository.offer(follower.workshop.seal(epoch=2))
    mirror = repository.copy(follower.workshop.folder / "mirror")
    path = mirror / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(follower, UnavailableError, mirror)
    assert (follower.update().outcome, follower.epoch()) == (Outcome.UPDATED, 2)


def _folder(url: str) -> str:
    return url.rpartition("/")[0]
