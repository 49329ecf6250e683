"""`modelkeep update`, once and as a service, against a repository that the real publisher's side has made."""

from __future__ import annotations

import datetime
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from modelkeep.channels.channel import Channel
from modelkeep.channels.mirror import MirrorError
from modelkeep.cli.vocabulary import MEMBERS
from modelkeep.errors import UsageError
from modelkeep.updates.client.schedule import HOUR, Schedule, Window
from modelkeep.updates.client.service import Service
from modelkeep.updates.interval import LONGEST
from support.command_line import CommandLine
from support.following import Follower
from support.repository import SmallRepository
from support.tuf_repository import TufRepository
from support.workshop import Workshop

TRUST = "-t trust.json --trust-root roots.json --model-id acme/detector"
UPDATE = f"update slots --repository repository --root root.json -k file:pi-17.pem {TRUST}"


@pytest.fixture
def published(workshop: Workshop, command: CommandLine) -> SmallRepository:
    """A repository with one release, and the folder of a device that follows it."""
    repository = SmallRepository(workshop, threshold=1)
    repository.publish(epoch=1)
    (workshop.folder / "root.json").write_bytes(repository.first_root)
    (workshop.folder / "roots.json").write_bytes(repository.roots)
    trust = repository.repository.published().documents["trust/trust.json"]
    (workshop.folder / "trust.json").write_bytes(trust)
    command.ok("modelkeep slots init slots --model-id acme/detector")
    return repository


def test_update_from_a_repository(published: SmallRepository, command: CommandLine) -> None:
    looked = command.ok(f"modelkeep {UPDATE} --check --json").json
    assert (looked["outcome"], looked["fetched"]) == ("not tried", 0)
    done = command.ok(f"modelkeep {UPDATE} --json").json
    assert done.keys() <= MEMBERS.keys()
    assert (done["outcome"], done["epoch"]) == ("updated", 1)
    assert "current: release 1" in command.ok(f"modelkeep {UPDATE}").err
    assert "which model" in command.shell(f"modelkeep {UPDATE} --any-model").err
    assert command.shell(f"modelkeep {UPDATE} --window 22:00-06:00").code == 2
    status = command.ok("modelkeep status slots -k file:pi-17.pem --json").json
    assert status["following"]["outcome"] == "current" and status["following"]["stale_since"] is None
    assert "following  current: release 1" in command.ok("modelkeep status slots -k file:pi-17.pem").out


def test_service_updates_and_ends_when_it_is_told_to(published: SmallRepository, workshop: Workshop) -> None:
    line = [sys.executable, "-m", "modelkeep", *UPDATE.split(), "--daemon", "--status", "status.json"]
    with running(line, workshop) as service:
        assert service.stderr is not None
        first = next(each for each in service.stderr if "looking again" in each)
        assert "updated" in first
        said = json.loads((workshop.folder / "status.json").read_bytes())
        assert (said["outcome"], said["failures"], said["stale_since"]) == ("updated", 0, None)
        second = subprocess.run(line, cwd=workshop.folder, capture_output=True, text=True, check=False)
        assert second.returncode == 6 and "another service" in second.stderr
        service.send_signal(signal.SIGTERM)
        assert "nothing was left half done" in service.stderr.read()
    assert service.returncode == 0


@contextmanager
def running(line: list[str], workshop: Workshop) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(line, cwd=workshop.folder, stderr=subprocess.PIPE, text=True) as service:
        try:
            yield service
        except BaseException:
            service.kill()
            raise


class Busy:
    """A channel whose server wants to be left alone."""

    name = "busy"

    def open(self, name: str, offset: int = 0, *, largest: int) -> Any:
        raise MirrorError(f"busy: {name}", is_final=False, pause=5000.0)

    def put(self, name: str, pieces: object) -> None:
        raise NotImplementedError


def serving(workshop: Workshop, channel: Channel, **options: Any) -> Iterator[Service]:
    repository = TufRepository(workshop.folder / "repository")
    follower = Follower(workshop, repository)
    with follower.updater(channel) as updater:
        yield Service(updater, Schedule(updater.device), **options)


def test_service_leaves_a_server_alone_that_wants_it(workshop: Workshop) -> None:
    for service in serving(workshop, Busy(), status=workshop.folder / "status.json"):
        assert 5000 <= service.look() <= 7500
        assert service.look() >= 5000
    said = json.loads((workshop.folder / "status.json").read_bytes())
    assert (said["failures"], said["error"]) == (2, "MirrorError")


def test_service_fetches_in_its_window_alone(workshop: Workshop) -> None:
    now = datetime.datetime.now().astimezone()
    closed = Window((now + datetime.timedelta(hours=2)).time(), (now + datetime.timedelta(hours=4)).time())
    repository = TufRepository(workshop.folder / "repository")
    repository.offer(workshop.seal(epoch=1))
    repository.write_timestamp(interval=7200)
    follower = Follower(workshop, repository)
    with follower.updater() as updater:
        pause = Service(updater, Schedule(updater.device), window=closed).look()
        assert 0.75 * 7200 <= pause <= 1.25 * 7200
        assert not (follower.folder / "a.keep").exists()
        Service(updater, Schedule(updater.device)).look()
    assert follower.epoch() == 1


def test_pauses_are_spread_and_grow() -> None:
    devices = [Schedule(bytes([number]) * 32) for number in range(100)]
    usual = [each.pause(1, 0, named=None, asked=None) for each in devices]
    assert 0.75 * HOUR <= min(usual) < 0.8 * HOUR and 1.2 * HOUR < max(usual) <= 1.25 * HOUR
    failing = [devices[0].pause(9, failures, named=None, asked=None) for failures in range(1, 9)]
    assert failing == sorted(failing) and failing[0] < 80 and failing[-1] <= 1.25 * HOUR
    assert devices[0].pause(1, 0, named=1, asked=None) >= 45
    assert devices[0].pause(1, 0, named=10**12, asked=10**12) <= 1.5 * LONGEST


def test_windows_over_midnight() -> None:
    night = Window.parse("22:00-06:00")
    assert night.is_open(datetime.time(23)) and night.is_open(datetime.time(5, 59))
    assert not night.is_open(datetime.time(6)) and not night.is_open(datetime.time(12))
    assert Window.parse("08:30-09:00").is_open(datetime.time(8, 45))
    for wrong in ("22-06", "24:00-06:00", "22:00", "22:00-22:00", ""):
        with pytest.raises(UsageError):
            Window.parse(wrong)
