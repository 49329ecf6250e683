"""Several at once on one bundle, one device, one file of grants; and installs that are killed."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelkeep.bulk_granting import grant_all
from modelkeep.bundle.access import Access, unlock
from modelkeep.errors import RollbackError, UnavailableError
from modelkeep.grants import sidecar
from modelkeep.grants.recipient_text import parse_recipient
from modelkeep.trust.unsigned import UnsafeUnsigned
from modelkeep.updates.installation import install
from support.states import remembered
from support.workshop import MODEL_ID, Workshop

SIZE = 3 * 2**20


def release(workshop: Workshop, epoch: int) -> Path:
    """Seals weights that all have the value of their epoch."""
    folder = workshop.folder / f"epoch-{epoch}"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes([epoch]) * SIZE)
    return workshop.seal(folder / "weights.bin", epoch=epoch)


def opened_epoch(workshop: Workshop, path: Path) -> int:
    """Opens a bundle or an installation; returns its epoch, which its content must have too."""
    with unlock(path, Access(workshop.identity(), workshop.verifier())) as opened:
        content = bytearray(SIZE)
        opened.decrypt(1, memoryview(content))
        assert content == bytes([opened.manifest.epoch]) * SIZE
        return opened.manifest.epoch


def floor(workshop: Workshop) -> int:
    return remembered(workshop.identity()).floor(MODEL_ID, workshop.verifier()).order.epoch


def install_release(
    workshop: Workshop, bundle: Path, target: Path, progress: Callable[[int], None] = lambda _done: None
) -> None:
    install(
        bundle,
        target,
        identity=workshop.identity(),
        verifier=workshop.verifier(),
        force=True,
        progress=progress,
    )


def start(
    workshop: Workshop, command: str, bundle: Path, target: Path, option: str = "--force"
) -> subprocess.Popen[bytes]:
    """Starts a command that opens `bundle` in a process of its own."""
    keys = ["-k", f"file:{workshop.device}", "-t", str(workshop.folder / "publisher.pub")]
    (workshop.folder / "publisher.pub").write_bytes(workshop.publisher_public)
    words = [sys.executable, "-m", "modelkeep", command, str(bundle), *keys, "-o", str(target), option]
    words.append("--any-model")
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_threads_that_open_at_once_all_get_the_model(workshop: Workshop) -> None:
    bundle = release(workshop, 1)
    with ThreadPoolExecutor(4) as pool:
        epochs = list(pool.map(lambda _number: opened_epoch(workshop, bundle), range(12)))
    assert epochs == [1] * 12


def test_processes_that_open_at_once_all_get_the_model(workshop: Workshop) -> None:
    bundle = release(workshop, 1)
    targets = [workshop.folder / f"extracted-{number}" for number in range(3)]
    running = [start(workshop, "extract", bundle, target, "--unsafe-plaintext") for target in targets]
    assert [process.wait() for process in running] == [0, 0, 0]
    for target in targets:
        assert (target / "weights.bin").read_bytes() == bytes([1]) * SIZE


@contextlib.contextmanager
def replacing(path: Path, *contents: Path) -> Iterator[None]:
    """Puts one file after the other in the place of `path`, over and over."""
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for number, content in enumerate(contents):
                (path.parent / f"next-{number}").hardlink_to(content)
                (path.parent / f"next-{number}").rename(path)
                # A rename onto another name of the same file leaves both names.
                (path.parent / f"next-{number}").unlink(missing_ok=True)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_bundle_that_is_replaced_while_it_is_opened_is_one_of_the_two(workshop: Workshop) -> None:
    one, two = release(workshop, 1), release(workshop, 2)
    path = workshop.folder / "model.keep"
    shutil.copy(one, path)
    with replacing(path, two, one):
        assert {opened_epoch(workshop, path) for _ in range(60)} == {1, 2}


def test_installs_of_one_epoch_at_once_all_count(workshop: Workshop) -> None:
    bundle = release(workshop, 1)
    targets = [workshop.folder / f"installed-{number}.keep" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda target: install_release(workshop, bundle, target), targets))
    assert [opened_epoch(workshop, target) for target in targets] == [1] * 4


def test_processes_that_install_at_once_leave_one_that_opens(workshop: Workshop) -> None:
    target = workshop.folder / "installed.keep"
    bundles = [release(workshop, epoch) for epoch in (1, 2, 3)]
    codes = [process.wait() for process in [start(workshop, "install", each, target) for each in bundles]]
    assert codes[2] == 0
    assert set(codes) <= {0, 3}
    assert opened_epoch(workshop, target) == floor(workshop) == 3


def test_an_install_that_was_overtaken_leaves_the_newer_one_alone(workshop: Workshop) -> None:
    old, new = release(workshop, 1), release(workshop, 2)
    target = workshop.folder / "installed.keep"
    overtaken = threading.Event()

    def overtake(_done: int) -> None:
        if not overtaken.is_set():
            overtaken.set()
            install_release(workshop, new, target)

    with pytest.raises(RollbackError, match="meanwhile"):
        install_release(workshop, old, target, overtake)
    assert opened_epoch(workshop, target) == floor(workshop) == 2


def test_an_older_install_that_begins_later_does_not_stop_the_newest(workshop: Workshop) -> None:
    older, newest = release(workshop, 1), release(workshop, 2)
    target = workshop.folder / "installed.keep"
    begun = threading.Event()

    def begin_older(_done: int) -> None:
        if not begun.is_set():
            begun.set()
            install_release(workshop, older, target)

    install_release(workshop, newest, target, begin_older)
    assert opened_epoch(workshop, target) == floor(workshop) == 2


def kill_installs(workshop: Workshop, rounds: int) -> None:
    """Kills an update at a random moment, over and over; what was there before, or the update, opens."""
    target, moments = workshop.folder / "installed.keep", random.Random(20_260_104)
    begin = time.monotonic()
    assert start(workshop, "install", release(workshop, 1), target).wait() == 0
    usual = time.monotonic() - begin
    epoch = lowest = 1
    for number in range(2, rounds + 2):
        process = start(workshop, "install", release(workshop, number), target)
        time.sleep(moments.uniform(0.3, 1.1) * usual)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before, (epoch, lowest) = (epoch, lowest), (opened_epoch(workshop, target), floor(workshop))
        assert epoch in (before[0], number)
        # Killed between putting the file in place and raising the floor, it opens all the same.
        assert before[1] <= lowest <= epoch
    last = release(workshop, rounds + 2)
    assert start(workshop, "install", last, target).wait() == 0
    assert opened_epoch(workshop, target) == floor(workshop) == rounds + 2


def test_an_install_that_is_killed_leaves_the_old_one_or_the_new_one(workshop: Workshop) -> None:
    kill_installs(workshop, 4)


@pytest.mark.slow
def test_many_installs_that_are_killed(workshop: Workshop) -> None:
    kill_installs(workshop, 100)


class Fleet:
    """A bundle, an administrator, and a list of devices."""

    def __init__(self, workshop: Workshop, size: int) -> None:
        self.workshop = workshop
        self.bundle = workshop.seal(to=[], admins=[workshop.device.with_suffix(".pub")])
        lines = [
            workshop.new_device(f"pi-{number}").with_suffix(".pub").read_text() for number in range(size)
        ]
        self.list, self.output = workshop.folder / "devices", workshop.folder / "grants"
        self.list.write_text("".join(lines))

    def grant_all(self, progress: Callable[[int], None] = lambda _count: None) -> int:
        identity = self.workshop.identity()
        return grant_all(
            self.bundle,
            self.list,
            self.output,
            identity=identity,
            verifier=UnsafeUnsigned(),
            progress=progress,
        ).total

    def in_order(self) -> bool:
        """Returns whether the output has one grant for every device, in the order of the list."""
        found = [grant.header for grant in sidecar.read(self.output)]
        expected = [
            parse_recipient(line).header(found[0].bundle, found[0].constraints)
            for line in self.list.read_text().splitlines()
        ]
        return found == expected


def test_a_bulk_run_that_meets_another_one_stops(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkeep.bulk_granting.BATCH", 2)
    fleet = Fleet(workshop, 5)
    steps: list[int] = []

    def meet(count: int) -> None:
        steps.append(count)
        if steps == [0, 2]:
            assert fleet.grant_all() == 5

    with pytest.raises(UnavailableError, match="somebody else"):
        fleet.grant_all(meet)
    assert fleet.in_order()


def test_bulk_runs_at_once_never_interleave(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkeep.bulk_granting.BATCH", 2)
    fleet = Fleet(workshop, 15)

    def run(_number: int) -> None:
        with contextlib.suppress(UnavailableError):
            fleet.grant_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert fleet.grant_all() == 15
    assert fleet.in_order()
    assert fleet.output.stat().st_size == sum(len(line) + 1 for line in sidecar.encoded(fleet.output))
