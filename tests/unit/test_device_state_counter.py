"""The device's state beside a counter: what counts, after every crash and every restored disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.device import state as device_state
from modelkeep.device.state import DeviceState, SeenTrust
from modelkeep.device.state_file import Contents, write_state
from modelkeep.errors import KeyStoreError, RollbackError, StorageError, TamperedError
from modelkeep.grants.hpke import HpkeHandle

MODEL = "acme/detector"
FIRST = 17


class CrashError(Exception):
    """Power went."""


class PaperCounter:
    """Counts as hardware does, and can be switched off between any two steps."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.crash_before = self.crash_after = False
        self.guessed_wrong_by = 0

    def value(self) -> int | None:
        return self.number

    def upcoming(self) -> int:
        return (FIRST if self.number is None else self.number + 1) - self.guessed_wrong_by

    def advance(self) -> int:
        if self.crash_before:
            raise CrashError
        self.number = FIRST if self.number is None else self.number + 1
        if self.crash_after:
            raise CrashError
        return self.number


@pytest.fixture
def counter() -> PaperCounter:
    return PaperCounter()


@pytest.fixture
def state(tmp_path: Path, counter: PaperCounter) -> DeviceState:
    local = HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key()
    return DeviceState(tmp_path / "device.state", local, counter)


def install(state: DeviceState, number: int, epoch: int) -> bytes:
    secret = state.prepare(MODEL, epoch, name(number))
    with state.committing(MODEL, name(number), now=epoch):
        pass
    return secret


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_new_device_knows_nothing_and_counts_from_its_first_change(
    state: DeviceState, counter: PaperCounter
) -> None:
    assert (state.floor(MODEL), counter.number) == (0, None)
    install(state, 1, epoch=1)
    assert (state.floor(MODEL), counter.number) == (1, FIRST + 2)
    state.prepare(MODEL, 2, name(2))
    assert counter.number == FIRST + 2, "installations that are begun wear nothing out"


def test_a_state_of_an_older_disk_is_refused(state: DeviceState, tmp_path: Path) -> None:
    install(state, 1, epoch=1)
    shutil.copy(state.path, tmp_path / "kept")
    install(state, 2, epoch=2)
    shutil.copy(tmp_path / "kept", state.path)
    for use in (lambda: state.floor(MODEL), state.time_floor, lambda: state.prepare(MODEL, 1, name(3))):
        with pytest.raises(RollbackError, match="not the newest state"):
            use()


def test_a_state_that_is_gone_is_missed(state: DeviceState) -> None:
    install(state, 1, epoch=1)
    state.path.unlink()
    with pytest.raises(RollbackError, match="or was lost"):
        state.prepare(MODEL, 0, name(2))


def test_a_counter_that_is_gone_is_missed(state: DeviceState, counter: PaperCounter) -> None:
    install(state, 1, epoch=1)
    counter.number = None
    with pytest.raises(RollbackError):
        state.floor(MODEL)


def test_a_state_that_never_was_counted_does_not_replace_one_that_was(
    state: DeviceState, tmp_path: Path
) -> None:
    local = HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key()
    counted = DeviceState(tmp_path / "counted.state", local, PaperCounter())
    install(counted, 1, epoch=2)
    write_state(counted.path, local, Contents())
    with pytest.raises(RollbackError):
        counted.floor(MODEL)


def test_a_counted_state_is_not_taken_without_its_counter(tmp_path: Path) -> None:
    local = HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key()
    install(DeviceState(tmp_path / "device.state", local, PaperCounter()), 1, epoch=1)
    with pytest.raises(RollbackError):
        DeviceState(tmp_path / "device.state", local).floor(MODEL)


@contextmanager
def power_cut(
    monkeypatch: pytest.MonkeyPatch, counter: PaperCounter, step: str
) -> Iterator[Callable[[], None]]:
    def cut(*_arguments: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch, pytest.raises(CrashError):

        def arm() -> None:
            if step == "before the new file":
                patch.setattr(device_state, "write_state", cut)
            elif step == "before the rename":
                patch.setattr(DeviceState, "_take_next", cut)
            else:
                patch.setattr(counter, step, True)

        yield arm


STEPS = {"before the new file": 0, "crash_before": 0, "crash_after": 1, "before the rename": 1}


@pytest.mark.parametrize(("step", "done"), STEPS.items())
def test_a_crash_at_any_step_of_a_change_leaves_the_old_or_the_new_state(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str, done: int
) -> None:
    old = install(state, 1, epoch=1)
    new = state.prepare(MODEL, 2, name(2))
    with power_cut(monkeypatch, counter, step) as arm, state.committing(MODEL, name(2), now=2):
        arm()
    assert (state.floor(MODEL), state.time_floor()) == ((2, 2) if done else (1, 1))
    assert state.secret(MODEL, name(2)) == new
    if not done:
        assert state.secret(MODEL, name(1)) == old
    install(state, 3, epoch=3)
    assert state.floor(MODEL) == 3


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_the_first_change_leaves_a_device_that_works(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with power_cut(monkeypatch, counter, step) as arm:
        arm()
        state.prepare(MODEL, 1, name(1))
    assert state.floor(MODEL) == 0
    install(state, 2, epoch=2)
    assert state.floor(MODEL) == 2


def test_what_a_crash_left_behind_brings_nothing_back(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(state, 1, epoch=1)
    state.prepare(MODEL, 2, name(2))
    with (
        power_cut(monkeypatch, counter, "before the rename") as arm,
        state.committing(MODEL, name(2), now=2),
    ):
        arm()
    left = state.path.with_name("device.state.next")
    shutil.copy(left, tmp_path / "kept")
    install(state, 3, epoch=3)
    shutil.copy(tmp_path / "kept", left)
    assert state.floor(MODEL) == 3
    state.path.unlink()
    with pytest.raises(RollbackError):
        state.floor(MODEL)


def test_a_change_that_was_cut_off_before_it_counted_is_no_choice_later(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(state, 1, epoch=1)
    state.prepare(MODEL, 2, name(2))
    with (
        power_cut(monkeypatch, counter, "crash_before") as arm,
        state.committing(MODEL, name(2), now=2),
    ):
        arm()
    left = state.path.with_name("device.state.next").read_bytes()
    install(state, 3, epoch=3)
    for place in (state.path, state.path.with_name("device.state.next")):
        state.path.write_bytes(left)
        place.write_bytes(left)
        with pytest.raises(RollbackError):
            state.floor(MODEL)


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_before_the_file_is_in_place_leaves_the_old_state(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old = install(state, 1, epoch=1)
    state.prepare(MODEL, 2, name(2))
    with power_cut(monkeypatch, counter, step) as arm:
        arm()
        with state.committing(MODEL, name(2), now=2):
            raise AssertionError("the block was reached")
    assert (state.floor(MODEL), state.secret(MODEL, name(1))) == (1, old)
    install(state, 3, epoch=3)


def test_somebody_else_who_counts_meanwhile_does_no_harm(state: DeviceState, counter: PaperCounter) -> None:
    counter.guessed_wrong_by = 3
    install(state, 1, epoch=1)
    assert state.floor(MODEL) == 1


def test_a_counter_that_fails_changes_nothing(
    state: DeviceState, counter: PaperCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise KeyStoreError("the TPM does not answer")

    install(state, 1, epoch=1)
    state.prepare(MODEL, 2, name(2))
    monkeypatch.setattr(counter, "upcoming", broken)
    prepared = state.path.read_bytes()
    with pytest.raises(KeyStoreError), state.committing(MODEL, name(2), now=2):
        raise AssertionError("the block was reached")
    assert state.path.read_bytes() == prepared
    assert state.floor(MODEL) == 1


def test_a_trust_file_is_counted_and_no_state_cut_off_before_can_take_its_place(
    state: DeviceState, counter: PaperCounter, tmp_path: Path
) -> None:
    install(state, 1, epoch=1)
    counter.crash_before = True
    with pytest.raises(CrashError):
        install(state, 2, epoch=2)
    counter.crash_before = False
    kept = shutil.copy(tmp_path / "device.state.next", tmp_path / "kept")
    before = counter.number
    assert before is not None
    state.see_trust(SeenTrust(b"r" * 32, 3))
    assert counter.number == before + 2
    state.see_trust(SeenTrust(b"r" * 32, 3))
    assert counter.number == before + 2, "what is known wears nothing out"
    shutil.copy(kept, state.path)
    with pytest.raises(RollbackError, match="not the newest state"):
        state.trust_number(b"r" * 32)


def test_a_read_only_disk_can_be_read(state: DeviceState, tmp_path: Path) -> None:
    state.prepare(MODEL, 3, bytes(16))
    with state.committing(MODEL, bytes(16), now=5):
        pass
    with read_only(tmp_path):
        with pytest.raises(StorageError, match="read-only"):
            state.prepare(MODEL, 3, bytes(15) + b"1")
        assert state.floor(MODEL) == 3
    # The same where a power cut came between counting and the new state's taking its place.
    state.path.rename(state.path.with_name(f"{state.path.name}.next"))
    with read_only(tmp_path):
        assert state.floor(MODEL) == 3


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mounts a folder over itself, read-only; that takes root."""
    mounted = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_the_state_of_a_key_that_was_replaced_is_named(state: DeviceState, tmp_path: Path) -> None:
    state.prepare(MODEL, 3, bytes(16))
    other = HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key()
    with pytest.raises(TamperedError, match=r"device\.state: .* belongs to another key") as refusal:
        DeviceState(tmp_path / "device.state", other).floor(MODEL)
    assert "with a new key" in str(refusal.value.hint)
