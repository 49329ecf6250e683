"""The device's state beside a counter: what counts, after every crash and every restored disk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.device import state_store
from modelkeep.device.contents import Contents, Stage
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.device.state import DeviceState
from modelkeep.device.state_file import write_state
from modelkeep.device.state_lock import StateLock, locked
from modelkeep.device.state_store import StateStore
from modelkeep.errors import KeyStoreError, RollbackError, StorageError, TamperedError
from modelkeep.grants.hpke import HpkeHandle
from support.disk import read_only
from support.paper import (
    EVERYBODY,
    FIRST,
    MODEL,
    CrashError,
    PaperCounter,
    epoch_of,
    install,
    name,
    new_state,
    secrets_of,
    stage,
)

ROOTS = SeenTrust(3, frozenset({bytes(32)}), 1)


@pytest.fixture
def counter() -> PaperCounter:
    return PaperCounter()


@pytest.fixture
def state(counter: PaperCounter) -> DeviceState:
    return new_state(counter)


def test_a_new_device_knows_nothing_and_counts_from_its_first_change(
    state: DeviceState, counter: PaperCounter
) -> None:
    assert (epoch_of(state), counter.number) == (0, None)
    install(state, 1, epoch=1)
    assert (epoch_of(state), counter.number) == (1, FIRST + 2)
    stage(state, 2, epoch=2)
    assert counter.number == FIRST + 2, "installations that are begun wear nothing out"


def test_a_state_of_an_older_disk_is_refused(state: DeviceState, tmp_path: Path) -> None:
    install(state, 1, epoch=1)
    shutil.copy(state.path, tmp_path / "kept")
    install(state, 2, epoch=2)
    shutil.copy(tmp_path / "kept", state.path)
    for use in (state.look, lambda: state.see(ROOTS), lambda: stage(state, 3, epoch=3)):
        with pytest.raises(RollbackError, match="not the newest state"):
            use()


def test_a_state_that_is_gone_is_missed(state: DeviceState) -> None:
    install(state, 1, epoch=1)
    state.path.unlink()
    assert state.has_begun
    for use in (state.look, lambda: stage(state, 2, epoch=0)):
        with pytest.raises(RollbackError, match="or was lost"):
            use()


def test_a_counter_that_is_gone_is_missed(state: DeviceState, counter: PaperCounter) -> None:
    install(state, 1, epoch=1)
    counter.number = None
    with pytest.raises(RollbackError):
        state.look()


def test_a_state_that_never_was_counted_does_not_replace_one_that_was(counter: PaperCounter) -> None:
    key = HpkeHandle(ec.generate_private_key(ec.SECP256R1()), counter=counter)
    state = DeviceState(key)
    install(state, 1, epoch=2)
    write_state(state.path, key.local_key(), Contents())
    with pytest.raises(RollbackError):
        state.look()


def test_a_counted_state_is_not_taken_without_its_counter() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    install(DeviceState(HpkeHandle(private, counter=PaperCounter())), 1, epoch=1)
    with pytest.raises(RollbackError):
        DeviceState(HpkeHandle(private)).look()


@contextmanager
def power_cut(
    monkeypatch: pytest.MonkeyPatch, counter: PaperCounter, step: str
) -> Iterator[Callable[[], None]]:
    def cut(*_arguments: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch, pytest.raises(CrashError):

        def arm() -> None:
            if step == "before the new file":
                patch.setattr(state_store, "write_state", cut)
            elif step == "before the rename":
                patch.setattr(StateStore, "_take_next", cut)
            else:
                patch.setattr(counter, step, True)

        yield arm


STEPS = {"before the new file": 0, "crash_before": 0, "crash_after": 1, "before the rename": 1}


@pytest.mark.parametrize(("step", "done"), STEPS.items())
def test_a_crash_at_any_step_of_a_change_leaves_the_old_or_the_new_state(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str, done: int
) -> None:
    old = install(state, 1, epoch=1)
    new = stage(state, 2, epoch=2)
    with (
        power_cut(monkeypatch, counter, step) as arm,
        state.committing(MODEL, name(2), EVERYBODY, ROOTS, lambda _: 9),
    ):
        arm()
    after = state.look()
    assert (epoch_of(state), after.time_for(ROOTS)) == ((2, 9) if done else (1, 0))
    # Its file is in place by now, so that it can be opened in any case.
    assert after.models[MODEL].installations[name(2)].stage is Stage.CURRENT
    assert secrets_of(state) == ({name(2): new} if done else {name(1): old, name(2): new})
    install(state, 3, epoch=3)
    assert epoch_of(state) == 3


@pytest.mark.parametrize(("step", "done"), STEPS.items())
def test_a_crash_at_any_step_of_a_commit_in_a_slot_leaves_one_that_opens(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str, done: int
) -> None:
    old = install(state, 1, epoch=1)
    new = stage(state, 2, epoch=2)
    state.try_out(MODEL, name(2))
    # The rewrite before the change is the first of two; the second one is the commit.
    for arms_at_first in (True, False):
        with power_cut(monkeypatch, counter, step) as arm:
            _arm(state, monkeypatch, arm, at_once=arms_at_first)
            state.commit(MODEL, name(2), EVERYBODY)
        installed = state.look().models[MODEL].installations
        current = [key for key, each in installed.items() if each.stage is Stage.CURRENT]
        counts = bool(done) and not arms_at_first
        assert current == [name(2 if counts else 1)]
        assert (epoch_of(state), secrets_of(state)[current[0]]) == ((2, new) if counts else (1, old))


def _arm(state: DeviceState, patch: pytest.MonkeyPatch, arm: Callable[[], None], *, at_once: bool) -> None:
    if at_once:
        arm()
        return
    original = state._store.use_up_number

    def use_up_number(contents: Contents, lock: StateLock) -> None:
        original(contents, lock)
        arm()

    patch.setattr(state._store, "use_up_number", use_up_number)


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_the_first_change_leaves_a_device_that_works(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with power_cut(monkeypatch, counter, step) as arm:
        arm()
        stage(state, 1, epoch=1)
    assert epoch_of(state) == 0
    install(state, 2, epoch=2)
    assert epoch_of(state) == 2


def test_what_a_crash_left_behind_brings_nothing_back(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(state, 1, epoch=1)
    stage(state, 2, epoch=2)
    with (
        power_cut(monkeypatch, counter, "before the rename") as arm,
        state.committing(MODEL, name(2), EVERYBODY),
    ):
        arm()
    shutil.copy(next_of(state), tmp_path / "kept")
    install(state, 3, epoch=3)
    shutil.copy(tmp_path / "kept", next_of(state))
    assert epoch_of(state) == 3
    state.path.unlink()
    with pytest.raises(RollbackError):
        state.look()


def test_a_change_that_was_cut_off_before_it_counted_is_no_choice_later(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(state, 1, epoch=1)
    stage(state, 2, epoch=2)
    with (
        power_cut(monkeypatch, counter, "crash_before") as arm,
        state.committing(MODEL, name(2), EVERYBODY),
    ):
        arm()
    left = next_of(state).read_bytes()
    install(state, 3, epoch=3)
    for place in (state.path, next_of(state)):
        state.path.write_bytes(left)
        place.write_bytes(left)
        with pytest.raises(RollbackError):
            state.look()


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_before_the_file_is_in_place_leaves_the_old_state(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old = install(state, 1, epoch=1)
    stage(state, 2, epoch=2)
    with power_cut(monkeypatch, counter, step) as arm:
        arm()
        with state.committing(MODEL, name(2), EVERYBODY):
            raise AssertionError("the block was reached")
    assert (epoch_of(state), secrets_of(state)[name(1)]) == (1, old)
    install(state, 3, epoch=3)


def test_a_counter_that_shows_an_unforeseen_number_is_refused(
    state: DeviceState, counter: PaperCounter
) -> None:
    install(state, 1, epoch=1)
    counter.guessed_wrong_by = 3
    with pytest.raises(RollbackError, match="meanwhile"):
        install(state, 2, epoch=2)
    counter.guessed_wrong_by = 0
    assert epoch_of(state) == 1


def test_a_counter_that_fails_changes_nothing(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise KeyStoreError("the TPM does not answer")

    install(state, 1, epoch=1)
    stage(state, 2, epoch=2)
    monkeypatch.setattr(counter, "upcoming", broken)
    prepared = state.path.read_bytes()
    with pytest.raises(KeyStoreError), state.committing(MODEL, name(2), EVERYBODY):
        raise AssertionError("the block was reached")
    assert state.path.read_bytes() == prepared
    assert epoch_of(state) == 1


def test_a_trust_file_is_counted_and_no_state_cut_off_before_can_take_its_place(
    state: DeviceState, counter: PaperCounter, tmp_path: Path
) -> None:
    install(state, 1, epoch=1)
    counter.crash_before = True
    with pytest.raises(CrashError):
        install(state, 2, epoch=2)
    counter.crash_before = False
    kept = shutil.copy(next_of(state), tmp_path / "kept")
    before = counter.number
    assert before is not None
    state.see(ROOTS)
    assert counter.number == before + 2
    state.see(ROOTS)
    assert counter.number == before + 2, "what is known wears nothing out"
    shutil.copy(kept, state.path)
    with pytest.raises(RollbackError, match="not the newest state"):
        state.look()


def test_every_counted_change_has_a_generation_of_its_own(state: DeviceState) -> None:
    install(state, 1, epoch=1)
    first = state.look().generation
    stage(state, 2, epoch=2)
    assert state.look().generation == first
    state.see(ROOTS)
    assert state.look().generation != first


def test_a_lock_that_was_taken_away_before_it_was_held_is_made_again(tmp_path: Path) -> None:
    path, held = tmp_path / "a.lock", []

    def wait() -> None:
        with locked(path) as lock:
            lock.check()
            held.append("by the one that waited")

    waiting = threading.Thread(target=wait)
    with locked(path) as gone:
        waiting.start()
        path.unlink()
        with locked(path) as other:
            other.check()
        with pytest.raises(RollbackError, match="meanwhile"):
            gone.check()
    waiting.join(timeout=60)
    assert held


def test_a_read_only_disk_can_be_read(state: DeviceState) -> None:
    install(state, 1, epoch=3)
    with read_only(state.path.parent):
        with pytest.raises(StorageError, match="read-only"):
            stage(state, 2, epoch=3)
        assert epoch_of(state) == 3
    # The same where a power cut came between counting and the new state's taking its place.
    state.path.rename(next_of(state))
    with read_only(state.path.parent):
        assert epoch_of(state) == 3


def next_of(state: DeviceState) -> Path:
    return state.path.with_name(f"{state.path.name}.next")


def test_the_state_of_another_key_is_named(state: DeviceState) -> None:
    install(state, 1, epoch=3)
    other = new_state(PaperCounter())
    install(other, 1, epoch=3)
    shutil.copy(other.path, state.path)
    with pytest.raises(TamperedError, match=r"\.state: .* belongs to another key") as refusal:
        state.look()
    assert "with a new key" in str(refusal.value.hint)
