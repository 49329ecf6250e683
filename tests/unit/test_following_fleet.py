"""A fleet of a thousand devices that follow a phase, and what a look costs one of them."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from modelkeep.bundle.rollback import Remembered
from modelkeep.channels.directory import DirectoryChannel
from modelkeep.device.tuf_roles import Roles, with_roles
from modelkeep.memory.randomness import random_bytes
from modelkeep.updates.client.following import Following
from modelkeep.updates.client.listing import look
from modelkeep.updates.client.selection import StaticPhase
from support.following import Follower
from support.tuf_repository import TufRepository
from support.workshop import MODEL_ID, Workshop

DEVICES = 1000


@dataclass
class SimulatedDevice:
    """Looks, remembers and chooses as a device does; what it takes is noted, and not installed."""

    following: Following
    verifier: Any
    device: bytes = field(default_factory=lambda: random_bytes(32))
    known: Roles = field(default_factory=dict)
    taken: list[bytes] = field(default_factory=list)
    requests: int = 0

    def look(self) -> None:
        listing = look(self.following, MODEL_ID, cast(Remembered, self))
        chosen = StaticPhase().choose(listing.offered, self.device)
        if chosen is not None and chosen.document.bundle not in self.taken:
            self.taken.append(chosen.document.bundle)
        self.requests = listing.requests

    @property
    def state(self) -> SimulatedDevice:
        return self

    def see_roles(self, seen: Roles) -> None:
        self.known = with_roles(self.known, seen)


@pytest.mark.slow
def test_phase_reaches_a_thousand_devices(workshop: Workshop) -> None:
    repository = TufRepository(workshop.folder / "repository")
    repository.offer(workshop.seal(epoch=1))
    channel = DirectoryChannel(repository.folder)
    first, verifier = workshop.folder / "0", workshop.verifier()
    SimulatedDevice(Following(channel, repository.first_root, first), verifier).look()
    devices = []
    for number in range(1, DEVICES + 1):
        place = shutil.copytree(first, workshop.folder / str(number), symlinks=True)
        devices.append(SimulatedDevice(Following(channel, repository.first_root, place), verifier))
    bundle = workshop.seal(epoch=2)
    reached = []
    for share, paused in ((100, False), (500, True), (500, False), (1000, False)):
        document = repository.offer(bundle, share, paused=paused)
        start = time.process_time()
        for device in devices:
            device.look()
        seconds = time.process_time() - start
        reached.append(sum(document.bundle in device.taken for device in devices))
        print(
            f"share {share}, paused {paused}: {reached[-1]} devices, {1000 * seconds / DEVICES:.1f} ms each"
        )
    tenth, paused_at, half, everybody = reached
    assert 70 <= tenth <= 130 and paused_at == tenth and 440 <= half <= 560 and everybody == DEVICES


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "server"])
def test_look_without_news_is_cheap(workshop: Workshop, place: str) -> None:
    repository = TufRepository(workshop.folder / "repository")
    follower = Follower(workshop, repository)
    repository.offer(workshop.seal(epoch=1))
    follower.update()
    follower.update()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with served(repository) as url, follower.updater(url if place == "server" else None) as updater:
        updater.update()
        start = time.process_time()
        reports = [updater.update() for _ in range(20)]
        milliseconds = 1000 * (time.process_time() - start) / len(reports)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{place}: {milliseconds:.1f} ms of CPU, {reports[-1].requests} requests, {grown} KiB more memory")
    assert reports[-1].requests <= 3


@contextmanager
def served(repository: TufRepository) -> Iterator[str]:
    """Shows a repository by a web server in another process."""
    line = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        line, cwd=repository.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as web:
        try:
            assert web.stdout is not None
            yield re.findall(rb"http://[0-9.:]+", web.stdout.readline())[0].decode()
        finally:
            web.kill()
