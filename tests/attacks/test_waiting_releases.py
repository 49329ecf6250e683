"""What is done to releases that wait in slots, to their trials, and by two that install at once."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelkeep import canonical, storage
from modelkeep.bundle.slot_folder import SlotFolder
from modelkeep.device.authenticated import authenticated
from modelkeep.device.contents import DAY
from modelkeep.errors import (
    KeepError,
    MalformedError,
    RefusedError,
    RollbackError,
    StorageError,
    UnavailableError,
    UsageError,
)
from modelkeep.updates import trial_notes
from modelkeep.updates.installation import install, install_into
from modelkeep.updates.slots import Slots
from modelkeep.updates.source import FileSource
from modelkeep.updates.status import status
from modelkeep.updates.trial_notes import Notes, TrialEnd
from support.power import PowerCuts
from support.states import path_of, remembered
from support.updating import Updating
from support.workshop import MODEL_ID, Workshop


class Start:
    """Which start of the device the kernel says it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.anew("first")

    def anew(self, name: object) -> None:
        """Starts the device anew."""
        self.path.write_text(f"{name}\n")


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """The device's starts, instead of this machine's."""
    start = Start(tmp_path / "boot_id")
    monkeypatch.setattr(trial_notes, "_BOOT", start.path)
    return start


@pytest.fixture
def device(workshop: Workshop) -> Updating:
    """A device with release 1 in its slots, and release 2 staged."""
    device = Updating(workshop, workshop.folder)
    device.update(device.seal(1))
    device.install(device.seal(2))
    return device


def test_a_staged_release_in_the_place_of_the_one_that_counts(device: Updating) -> None:
    folder = SlotFolder.read(device.folder)
    kept = folder.file("a").read_bytes()
    shutil.copy(folder.file("b"), folder.file("a"))
    with pytest.raises(RollbackError, match="none of the slots holds what counts"):
        device.epoch()
    for slot in ("a", "b"):
        with pytest.raises(RollbackError, match="never finished"):
            device.epoch(folder.file(slot))
    folder.file("a").write_bytes(kept)
    assert device.epoch() == 1


@pytest.mark.parametrize("other_name", [shutil.copy, os.link])
def test_another_name_of_what_counts_in_the_slot_that_is_written(device: Updating, other_name: Any) -> None:
    folder = SlotFolder.read(device.folder)
    folder.file("b").unlink()
    other_name(folder.file("a"), folder.file("b"))
    device.install(device.seal(3))
    assert device.epoch() == 1
    device.update(device.seal(4))
    assert device.epoch() == 4


def test_another_state_lets_go_of_nothing_that_counts(
    device: Updating, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as mistaken:
        mistaken.setenv("MODELKEEP_STATE", str(device.folder.parent / "other"))
        device.update(device.seal(3))
        assert device.epoch() == 3
    assert device.epoch() == 1
    device.update(device.seal(4))
    assert device.epoch() == 4


class Locking(io.BytesIO):
    """A stream without anything in it, that asks for the lock of slots before it says so."""

    def __init__(self, device: Updating) -> None:
        super().__init__()
        self._device = device

    def read(self, size: int | None = -1, /) -> bytes:
        with self._device.slots().exclusively():
            return super().read(size)


def test_a_source_that_gives_nothing_holds_up_no_trial(
    device: Updating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "LONGEST_WAIT", 0)
    identity, verifier = device.workshop.identity(), device.workshop.verifier()
    with pytest.raises(MalformedError, match="cut short"):
        install(Locking(device), device.folder, identity=identity, verifier=verifier)


def test_slots_that_are_said_to_be_of_another_model(device: Updating) -> None:
    description = device.folder / "slots.json"
    description.write_bytes(description.read_bytes().replace(b"acme/detector", b"acme/selector"))
    with pytest.raises(RollbackError):
        device.epoch()


def test_a_trial_that_was_not_passed_is_not_committed(device: Updating) -> None:
    slots = device.slots()
    trial = slots.begin_trial("b")
    with pytest.raises(UsageError):
        slots.commit(trial)
    slots.end_trial(trial, TrialEnd.WITHDRAWN)
    trial.end = TrialEnd.PASSED
    with pytest.raises(RollbackError, match="not on trial"):
        slots.commit(trial)
    assert device.epoch() == 1


def test_tries_that_are_replayed_cost_work_and_nothing_else(device: Updating) -> None:
    slots, state = device.slots(), path_of(device.workshop.identity())
    before = state.read_bytes()
    bundle = slots.begin_trial("b").known.mark.bundle
    state.write_bytes(before)
    replayed = device.slots().begin_trial("b")
    assert replayed.number == 1
    state.write_bytes(before)
    slots.end_trial(replayed, TrialEnd.PASSED)
    with pytest.raises(RollbackError, match="not on trial"):
        slots.commit(replayed)
    assert (device.epoch(), device.slots().state("b").known.mark.bundle) == (1, bundle)  # type: ignore[union-attr]


def test_a_release_that_crashes_goes_and_one_that_the_power_interrupts_stays(
    device: Updating, start: Start
) -> None:
    for number in range(10):
        start.anew(number)
        device.slots().begin_trial("b")
    start.anew("one")
    for _ in range(2):
        with pytest.raises(KeepError, match="started anew in 10 trials"):
            device.slots().begin_trial("b")
    start.anew("another")
    for _ in range(3):
        device.slots().begin_trial("b")
    with pytest.raises(RefusedError, match="crashed 3 times"):
        device.slots().begin_trial("b")
    assert device.epoch() == 1
    bundle = device.workshop.folder / "bundle-1.keep"
    with pytest.raises(RefusedError, match="tried here and failed"):
        device.install(bundle)
    # A further attempt has its three tries again.
    further = Slots(device.slots().folder, device.slots().access, attempt=1)
    install_into(further, FileSource(bundle))
    assert further.begin_trial("b").number == 1


def test_what_is_damaged_is_staged_once_more_and_is_not_the_models_fault(device: Updating) -> None:
    bundle = device.workshop.folder / "bundle-1.keep"
    for _ in range(2):
        device.install(bundle)
        slots = device.slots()
        slots.end_trial(slots.begin_trial("b"), TrialEnd.DAMAGED, "segment 0 does not decrypt")
    assert not remembered(device.workshop.identity()).models[MODEL_ID].quarantine
    with pytest.raises(StorageError, match="damaged here 2 times"):
        device.install(bundle)
    assert device.epoch() == 1
    device.slots().try_again()
    assert device.install(bundle).slot == "b"


def postponed(device: Updating, runtime: str | None = None) -> None:
    """Tries, and comes to no end."""
    slots = device.slots()
    slots.end_trial(slots.begin_trial("b", runtime), TrialEnd.POSTPONED, "no key")


def test_a_release_that_can_never_be_tried_is_not_tried_for_ever(
    device: Updating, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(trial_notes.MOST_POSTPONEMENTS):
        postponed(device)
    with pytest.raises(UnavailableError, match="5 trials of this release were postponed"):
        postponed(device)
    # Each change is good for one more try, and there is no way to five new ones but a person's word.
    start.anew("second")
    tomorrow = time.time() + DAY
    for change in ("start", "runtime", "day"):
        if change == "day":
            monkeypatch.setattr(time, "time", lambda: tomorrow)
        runtime = None if change == "start" else change
        postponed(device, runtime)
        with pytest.raises(UnavailableError, match="were postponed, the last one because: no key"):
            postponed(device, runtime)
    assert not remembered(device.workshop.identity()).models[MODEL_ID].quarantine
    device.slots().try_again()
    postponed(device, "day")
    postponed(device, "day")
    # What is newer takes its place all the same.
    device.update(device.seal(3))
    assert device.epoch() == 3


def test_power_that_goes_takes_no_postponement_back(device: Updating) -> None:
    for expected in (1, 2):
        cuts = PowerCuts(device.folder)
        with cuts.watching():
            postponed(device)
        for image in cuts.last:
            cuts.restore(image)
            found = status(device.folder, identity=device.workshop.identity()).last_trial
            assert found is not None and found.postponed == expected


@pytest.mark.parametrize("edit", ["crashed", "theirs", "torn"])
def test_notes_that_somebody_else_wrote_put_nothing_in_quarantine(device: Updating, edit: str) -> None:
    slots = device.slots()
    bundle = slots.begin_trial("b").known.mark.bundle
    path = device.folder / "trial.json"
    wrong = trial_notes.encode(Notes(bundle, boot=trial_notes.boot_id(), crashed=2))
    if edit == "theirs":
        other = device.workshop.new_device("other")
        with device.workshop.identity(other).device_state() as state:  # type: ignore[union-attr]
            path.write_bytes(authenticated(state.local, wrong, b"modelkeep/v1/trial"))
    else:
        record = json.loads(path.read_bytes()) | {"body": base64.b64encode(wrong).decode()}
        path.write_bytes(canonical.encode(record) if edit == "crashed" else path.read_bytes()[:-9])
    assert slots.begin_trial("b").number == 2
    assert not remembered(device.workshop.identity()).models[MODEL_ID].quarantine


def test_an_older_release_takes_no_waiting_ones_place(device: Updating) -> None:
    device.install(device.seal(4))
    older = device.seal(3)
    with pytest.raises(RollbackError, match="is no newer than 4 .* which waits here"):
        device.install(older)
    assert device.slots().state("b").known.mark.order.epoch == 4  # type: ignore[union-attr]
    # What has not arrived promises nothing, and neither does what was let go of.
    file = device.folder / "b.keep"
    os.truncate(file, file.stat().st_size - 1)
    assert device.install(older).now.epoch == 3
    device.install(device.workshop.folder / "bundle-2.keep")
    assert not device.slots().withdraw(bytes(16))
    device.slots().withdraw()
    device.update(older)
    assert device.epoch() == 3


class Dripping(io.BytesIO):
    """A stream that stops before the last file of the payload until it is let go on, and then breaks."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.waits, self.goes_on = threading.Event(), threading.Event()
        self._stop = content.rindex(b"payload/1")

    def read(self, size: int | None = -1, /) -> bytes:
        if self.goes_on.is_set():
            raise ConnectionResetError("connection reset by peer")
        if self.tell() > self._stop:
            self.waits.set()
            assert self.goes_on.wait(60)
        return super().read(size)


@pytest.mark.parametrize("meanwhile", ["withdraw", "newer", "same", "tried"])
def test_a_source_that_withholds_payload_holds_up_nobody(
    device: Updating, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    monkeypatch.setattr(storage, "LONGEST_WAIT", 0)
    bundle = device.seal(3)
    source = Dripping(bundle.read_bytes())
    identity, verifier = device.workshop.identity(), device.workshop.verifier()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(install, source, device.folder, identity=identity, verifier=verifier)
        try:
            assert source.waits.wait(60)
            if meanwhile == "withdraw":
                with device.slots().exclusively():
                    assert device.slots().withdraw()
            elif meanwhile == "newer":
                device.update(device.seal(4))
            elif meanwhile == "same":
                assert device.install(bundle).kept
            else:
                device.update(bundle)
        finally:
            source.goes_on.set()
        if meanwhile in ("same", "tried"):
            assert (late.result().now.epoch, late.result().slot is None) == (3, meanwhile == "tried")
        else:
            with pytest.raises(UnavailableError, match="was let go of meanwhile"):
                late.result()
    expected = {"withdraw": 1, "newer": 4, "same": 1, "tried": 3}[meanwhile]
    assert device.epoch() == expected
    device.update(device.seal(5))
    assert device.epoch() == 5
