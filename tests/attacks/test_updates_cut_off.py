"""Updates that are cut off at any step: one release that counts opens, and what was done stays."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelkeep.device.state_place import FOLDER_VARIABLE
from modelkeep.errors import StorageError
from support.power import PowerCuts, killed_at
from support.updating import Updating
from support.workshop import Workshop

WRITES = ("pwrite", "ftruncate", "posix_fallocate")
MORE = tuple((os, name) for name in WRITES)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device's disk, on which its states are, too."""
    folder = tmp_path / "device"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder / "states"))
    return folder


@pytest.fixture
def device(workshop: Workshop, disk: Path) -> Updating:
    """A device whose slots have release 1, as has a file."""
    device = Updating(workshop, disk)
    device.update(device.seal(1))
    return device


def check(device: Updating, bundle: Path, said: bytes = b"") -> None:
    """Looks at the slots after a cut, and lets the update come to its end."""
    epoch = device.epoch()
    assert epoch in (1, 2)
    assert epoch == 2 or b"c" not in said, "what was reported to count does"
    assert epoch == 2 or b"s" not in said or device.slots().staged(), "what was reported to be there is"
    assert device.floor() == epoch
    device.update(bundle)
    assert (device.epoch(), device.floor()) == (2, 2)


def kill_at_steps(device: Updating, disk: Path, bundle: Path, every: int) -> int:
    """Kills an update before each of its steps; returns how many there are."""
    cuts = PowerCuts(disk)
    before = cuts.present()
    step = 1
    while True:
        reader, writer = os.pipe()
        alive = not killed_at(step, lambda: device.update(bundle, writer), *MORE)  # noqa: B023
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            check(device, bundle, pipe.read())
        if alive:
            return step
        cuts.restore(before)
        step += every


def test_an_update_that_is_killed_before_a_step(device: Updating, disk: Path) -> None:
    assert kill_at_steps(device, disk, device.seal(2), every=17) > 40


@pytest.mark.slow
def test_an_update_that_is_killed_before_every_step(device: Updating, disk: Path) -> None:
    assert kill_at_steps(device, disk, device.seal(2), every=1) > 40


def kill_at_moments(device: Updating, disk: Path, rounds: int) -> None:
    """Kills updates at random moments, over and over; the next one takes the place of what is there."""
    bundle, cuts, moments = device.seal(2), PowerCuts(disk), random.Random(20_260_118)
    before = cuts.present()
    begin = time.monotonic()
    device.update(bundle)
    usual = time.monotonic() - begin
    for _ in range(rounds):
        cuts.restore(before)
        child = os.fork()
        if child == 0:
            try:
                device.update(bundle)
            finally:
                os._exit(0)
        time.sleep(moments.uniform(0, 1.2) * usual)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check(device, bundle)


def test_updates_that_are_killed_at_some_moment(device: Updating, disk: Path) -> None:
    kill_at_moments(device, disk, 2)


@pytest.mark.slow
def test_hundreds_of_updates_that_are_killed_at_some_moment(device: Updating, disk: Path) -> None:
    kill_at_moments(device, disk, 400)


def cut_power(device: Updating, disk: Path, every: int) -> int:
    bundle = device.seal(2)
    cuts = PowerCuts(disk, torn=True)
    with cuts.watching():
        device.update(bundle)
    assert device.epoch() == 2
    for image in cuts.images[::every]:
        cuts.restore(image)
        check(device, bundle)
    for image in cuts.last:
        cuts.restore(image)
        check(device, bundle, b"sc")
    return len(cuts.images)


def test_power_that_goes_in_an_update(device: Updating, disk: Path) -> None:
    assert cut_power(device, disk, every=13) > 30


@pytest.mark.slow
def test_power_that_goes_at_every_moment_of_an_update(device: Updating, disk: Path) -> None:
    assert cut_power(device, disk, every=1) > 30


@contextmanager
def failing_from(step: int, number: int) -> Iterator[Callable[[], bool]]:
    """Makes every write fail from a step on during a `with` block; gives whether there was one."""
    count = 0

    def failing(really: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            # What makes a file shorter needs no room.
            if count >= step and not (number == errno.ENOSPC and arguments[-1] == 0):
                raise OSError(number, os.strerror(number))
            return really(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in (*WRITES, "replace", "link", "mkdir") if number == errno.EROFS else WRITES:
            patch.setattr(os, name, failing(getattr(os, name)))
        yield lambda: count >= step


def fail_at_steps(device: Updating, disk: Path, number: int, every: int) -> int:
    bundle = device.seal(2)
    cuts = PowerCuts(disk)
    before = cuts.present()
    step = 1
    while True:
        with failing_from(step, number) as has_failed:
            try:
                device.update(bundle)
            except StorageError:
                assert has_failed()
            else:
                # At its end there is nothing left to write.
                assert not has_failed() or device.epoch() == 2
            assert device.epoch() in (1, 2)
        check(device, bundle)
        if not has_failed():
            return step
        cuts.restore(before)
        step += every


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_from_some_write_on(
    device: Updating, disk: Path, number: int
) -> None:
    assert fail_at_steps(device, disk, number, every=9) > 10


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_from_every_write_on(
    device: Updating, disk: Path, number: int
) -> None:
    assert fail_at_steps(device, disk, number, every=1) > 10
