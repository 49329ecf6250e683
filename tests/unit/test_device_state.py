"""What a device must not forget: floors, secrets, and what there is room for."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.bundle.trust_memory import see_trust
from modelkeep.device import state_file
from modelkeep.device.state import DeviceState, SeenTrust
from modelkeep.errors import RollbackError, StorageError
from modelkeep.grants.hpke import HpkeHandle

MODEL = "acme/detector"
ROOTS, OTHERS = b"r" * 32, b"o" * 32


@pytest.fixture(autouse=True)
def few_installations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "MOST_INSTALLATIONS", 3)


@pytest.fixture
def state(tmp_path: Path) -> DeviceState:
    local = HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key()
    return DeviceState(tmp_path / "device.state", local)


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def install(state: DeviceState, number: int, epoch: int = 1) -> bytes:
    secret = state.prepare(MODEL, epoch, name(number))
    with state.committing(MODEL, name(number), now=5):
        pass
    return secret


def test_installations_that_were_broken_off_never_push_out_the_one_that_counts(state: DeviceState) -> None:
    secret = install(state, 0)
    for number in range(1, 7):
        state.prepare(MODEL, 1, name(number))
    assert state.secret(MODEL, name(0)) == secret


def test_of_too_many_that_count_the_oldest_is_forgotten(state: DeviceState) -> None:
    for number in range(4):
        install(state, number)
    with pytest.raises(RollbackError):
        state.secret(MODEL, name(0))
    assert state.secret(MODEL, name(1))


def test_what_a_newer_epoch_overtook_is_not_put_in_place(state: DeviceState) -> None:
    state.prepare(MODEL, 1, name(1))
    install(state, 2, epoch=2)
    reached = []
    with pytest.raises(RollbackError, match="meanwhile"), state.committing(MODEL, name(1), now=5):
        reached.append("the block")
    assert not reached
    assert state.floor(MODEL) == 2


def test_a_file_that_cannot_be_put_in_place_changes_nothing(state: DeviceState) -> None:
    secret = install(state, 1)
    state.prepare(MODEL, 2, name(2))
    with pytest.raises(StorageError), state.committing(MODEL, name(2), now=9):
        raise StorageError("disk full")
    assert (state.floor(MODEL), state.time_floor(), state.secret(MODEL, name(1))) == (1, 5, secret)


@pytest.mark.parametrize(("limit", "value"), [("MOST_MODELS", 1), ("LARGEST_STATE", 600)])
def test_a_state_that_could_not_be_read_again_is_not_written(
    state: DeviceState, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    secret = install(state, 1)
    monkeypatch.setattr(state_file, limit, value)
    with pytest.raises(StorageError, match="no room"):
        state.prepare("acme/other", 1, name(2))
    assert state.secret(MODEL, name(1)) == secret


def test_newest_trust_file_of_each_set_of_roots_is_known(state: DeviceState) -> None:
    assert state.trust_number(ROOTS) == 0
    state.see_trust(SeenTrust(ROOTS, 3))
    state.see_trust(SeenTrust(ROOTS, 3))
    state.see_trust(SeenTrust(OTHERS, 1))
    with pytest.raises(RollbackError, match="trust file 2 is older than 3"):
        state.see_trust(SeenTrust(ROOTS, 2))
    assert (state.trust_number(ROOTS), state.trust_number(OTHERS)) == (3, 1)


def test_trust_file_is_remembered_with_what_it_installed(state: DeviceState) -> None:
    state.prepare(MODEL, 1, name(1))
    with state.committing(MODEL, name(1), now=5, trust=SeenTrust(ROOTS, 3)):
        pass
    assert state.trust_number(ROOTS) == 3
    state.prepare(MODEL, 2, name(2))
    reached = []
    with (
        pytest.raises(RollbackError, match="is older than 3"),
        state.committing(MODEL, name(2), now=5, trust=SeenTrust(ROOTS, 2)),
    ):
        reached.append("the block")
    assert not reached
    assert state.floor(MODEL) == 1


def test_there_is_room_for_so_many_sets_of_roots(state: DeviceState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "MOST_ROOT_SETS", 1)
    state.see_trust(SeenTrust(ROOTS, 3))
    with pytest.raises(StorageError, match="another set of roots"):
        state.see_trust(SeenTrust(OTHERS, 1))
    assert state.trust_number(ROOTS) == 3


@pytest.mark.parametrize(("reason", "goes_on"), [(errno.EROFS, True), (errno.ENOSPC, False)])
def test_only_a_read_only_disk_lets_a_newer_trust_file_go_unremembered(
    state: DeviceState, monkeypatch: pytest.MonkeyPatch, reason: int, *, goes_on: bool
) -> None:
    state.see_trust(SeenTrust(ROOTS, 3))

    def refuse(*_arguments: object) -> None:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patch:
        # What the kernel answers when such a disk is to be written.
        patch.setattr(os, "open", refuse)
        with contextlib.nullcontext() if goes_on else pytest.raises(StorageError):
            see_trust(state, SeenTrust(ROOTS, 4))
        with pytest.raises(RollbackError):
            see_trust(state, SeenTrust(ROOTS, 2))
    assert state.trust_number(ROOTS) == 3
