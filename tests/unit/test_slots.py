"""Slots: installed into the one that does not count, tried, and let count."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelkeep.bundle.access import Access
from modelkeep.device.contents import Stage
from modelkeep.errors import RefusedError, RollbackError, UsageError, WrongModelError
from modelkeep.renewing import renew
from modelkeep.updates.installation import InstallReport, install
from modelkeep.updates.reception import receiving
from modelkeep.updates.slots import Slots
from modelkeep.updates.source import FileSource
from modelkeep.updates.trial_notes import TrialEnd
from support.updating import Updating
from support.workshop import MODEL_ID, Workshop


@pytest.fixture
def slots(workshop: Workshop) -> Slots:
    Slots.init(workshop.folder / "slots", MODEL_ID)
    return Slots.open(workshop.folder / "slots", Access(workshop.identity(), workshop.verifier()))


def stage(workshop: Workshop, slots: Slots, bundle: Path, *, force: bool = False) -> InstallReport:
    access = slots.access
    return install(bundle, slots.folder.path, identity=access.identity, verifier=access.verifier, force=force)


def update(workshop: Workshop, slots: Slots, epoch: int) -> None:
    slot = stage(workshop, slots, workshop.seal(epoch=epoch)).slot
    assert slot is not None
    trial = slots.begin_trial(slot)
    slots.end_trial(trial, TrialEnd.PASSED)
    slots.commit(trial)


def epoch_of(workshop: Workshop, slots: Slots) -> int:
    with workshop.open(slots.folder.path) as session:
        return session.report.epoch


def test_a_release_counts_after_its_trial_and_the_one_before_is_gone(
    workshop: Workshop, slots: Slots
) -> None:
    with pytest.raises(RollbackError, match="none of the slots counts"):
        workshop.open(slots.folder.path)
    for epoch, slot in ((1, "a"), (2, "b"), (3, "a")):
        update(workshop, slots, epoch)
        assert (epoch_of(workshop, slots), slots.primary()) == (epoch, slot)
        assert [each.name for each in slots.folder.path.glob("*.keep")] == [f"{slot}.keep"]
    with pytest.raises(RollbackError):
        stage(workshop, slots, workshop.seal(epoch=2))


def test_what_is_staged_or_on_trial_is_not_opened(workshop: Workshop, slots: Slots) -> None:
    update(workshop, slots, 1)
    staged = stage(workshop, slots, workshop.seal(epoch=2))
    trial = slots.begin_trial("b")
    assert (trial.number, slots.state("b").stage) == (1, Stage.TRIAL)
    assert epoch_of(workshop, slots) == 1
    with pytest.raises(RollbackError, match="never finished"):
        workshop.open(staged.path)
    with pytest.raises(UsageError, match="passed its trial"):
        slots.commit(trial)


def test_a_release_that_is_refused_is_not_installed_again(workshop: Workshop, slots: Slots) -> None:
    update(workshop, slots, 1)
    bundle = workshop.seal(epoch=2)
    stage(workshop, slots, bundle)
    slots.end_trial(slots.begin_trial("b"), TrialEnd.REFUSED, "output off by 0.3")
    assert epoch_of(workshop, slots) == 1
    with pytest.raises(RefusedError, match="was tried here and failed"):
        stage(workshop, slots, bundle)


def test_what_counts_already_is_fetched_again_only_by_force(workshop: Workshop, slots: Slots) -> None:
    bundle = workshop.seal()
    trial = slots.begin_trial(stage(workshop, slots, bundle).slot or "")
    slots.end_trial(trial, TrialEnd.PASSED)
    slots.commit(trial)
    again = stage(workshop, slots, bundle)
    assert (again.slot, again.path, again.fetched < bundle.stat().st_size) == (
        None,
        slots.folder.file("a"),
        True,
    )
    assert slots.staged() is None
    assert stage(workshop, slots, bundle, force=True).slot == "b"


def test_what_counts_is_renewed_where_it_is(workshop: Workshop, slots: Slots) -> None:
    update(workshop, slots, 1)
    with pytest.raises(RefusedError, match="takes grants of anybody"):
        renew(
            slots.folder.path,
            identity=workshop.identity(),
            verifier=workshop.verifier(),
            grant_file=workshop.folder / "none",
        )


def test_slots_of_another_model(workshop: Workshop, slots: Slots) -> None:
    bundle = workshop.seal(model="acme/classifier")
    verifier = workshop.verifier(model="acme/classifier")
    with pytest.raises(WrongModelError, match="the slots are for acme/detector"):
        install(bundle, slots.folder.path, identity=workshop.identity(), verifier=verifier)


def test_two_that_update_at_once_leave_one_release_that_counts(tmp_path: Path, workshop: Workshop) -> None:
    device = Updating(workshop, tmp_path)
    device.update(device.seal(1))
    bundle = device.seal(2)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(device.update, [bundle] * 3))
    assert (device.epoch(), device.floor()) == (2, 2)


def test_slots_are_opened_while_releases_take_each_others_place(tmp_path: Path, workshop: Workshop) -> None:
    device = Updating(workshop, tmp_path)
    device.update(device.seal(1))
    later = [device.seal(epoch) for epoch in (2, 3, 4)]
    with ThreadPoolExecutor(1) as pool:
        updating = pool.submit(lambda: list(map(device.update, later)))
        epochs = [device.epoch()]
        while not updating.done():
            epochs.append(device.epoch())
        updating.result()
    assert epochs == sorted(epochs)
    assert device.epoch() == 4


def test_something_newer_counts_by_the_time_the_lock_is_free(workshop: Workshop, slots: Slots) -> None:
    old = workshop.seal(epoch=1)
    with receiving(FileSource(old), slots.access) as late:
        update(workshop, slots, 2)
        update(workshop, slots, 3)
        with pytest.raises(RollbackError, match="older"):
            slots.choose(late.signed)
    assert not slots.folder.file("a" if slots.primary() == "b" else "b").exists()


def test_what_counts_and_is_damaged_is_fetched_again(workshop: Workshop, slots: Slots) -> None:
    bundle = workshop.seal()
    for slot, problem in (("a", "None"), ("b", "cut short"), ("a", "does not decrypt")):
        report = stage(workshop, slots, bundle)
        assert report.slot == slot and problem in str(report.damage)
        trial = slots.begin_trial(slot)
        slots.end_trial(trial, TrialEnd.PASSED)
        slots.commit(trial)
        report = stage(workshop, slots, bundle)
        assert (report.slot, report.damage) == (None, None)
        file = slots.folder.file(slot)
        if slot == "a":
            os.truncate(file, file.stat().st_size - 1)
        else:
            damaged = bytearray(file.read_bytes())
            damaged[damaged.rindex(b"payload/1") + 600] ^= 1
            file.write_bytes(damaged)
