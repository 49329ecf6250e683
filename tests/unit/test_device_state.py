"""What a device must not forget: marks, stages, secrets, trust files, the time; and where it is kept."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelkeep.device import contents, contents_json, obeying, state_file
from modelkeep.device.contents import Contents, Quarantined, Stage
from modelkeep.device.contents_json import MOST_ADOPTERS
from modelkeep.device.marks import Mark, floor_of, with_mark
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.device.state import DeviceState
from modelkeep.device.state_file import write_state
from modelkeep.device.state_place import FOLDER_VARIABLE, SYSTEM_FOLDER, state_path
from modelkeep.device.tuf_roles import TufRole
from modelkeep.errors import MalformedError, RefusedError, RollbackError, StorageError, UsageError
from modelkeep.grants.fleet_device import FleetDevice
from modelkeep.grants.hpke import HpkeHandle
from modelkeep.keys.identity import Identity
from modelkeep.release_order import ReleaseOrder
from support.paper import (
    EVERYBODY,
    MODEL,
    Believing,
    CrashError,
    install,
    mark,
    name,
    new_state,
    secrets_of,
    signer,
    stage,
)

DAY = 86_400


@pytest.fixture(autouse=True)
def few_installations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_INSTALLATIONS", 3)


@pytest.fixture
def state() -> DeviceState:
    return new_state()


def seen(number: int, roots: str = "r", **more: Any) -> SeenTrust:
    return SeenTrust(number, frozenset({roots.encode() * 32}), 1, **more)


def numbers(state: DeviceState) -> list[int]:
    return [entry.number for entry in state.look().trust]


def test_installations_that_were_broken_off_never_push_out_the_one_that_counts(state: DeviceState) -> None:
    secret = install(state, 1)
    for number in range(10, 17):
        state.stage(MODEL, name(number), mark(1, 1), EVERYBODY)
    assert secrets_of(state)[name(1)] == secret


def test_beginning_with_an_older_release_takes_nothing_from_a_newer_one(state: DeviceState) -> None:
    for number, epoch in [(1, 1), (2, 3), (3, 2)]:
        state.stage(MODEL, name(number), mark(epoch, epoch), EVERYBODY)
    assert set(secrets_of(state)) == {name(2), name(3)}
    state.stage(MODEL, name(4), mark(4, 4), EVERYBODY)
    assert set(secrets_of(state)) == {name(4)}


def test_tries_begin_anew_with_every_release_that_is_staged(state: DeviceState) -> None:
    for number in (2, 3):
        state.stage(MODEL, name(number), mark(number, number), EVERYBODY)
        assert [state.try_out(MODEL, name(number)) for _ in range(2)] == [1, 2]


def test_of_too_many_the_active_one_is_kept(state: DeviceState) -> None:
    install(state, 1)
    for number in range(2, 5):
        state.stage(MODEL, name(number), mark(1, 1), EVERYBODY)
        with contextlib.suppress(CrashError), state.committing(MODEL, name(number), EVERYBODY):
            raise CrashError
    install(state, 1)
    state.stage(MODEL, name(9), mark(1, 1), EVERYBODY)
    assert {name(1), name(9)} <= set(secrets_of(state))
    assert len(secrets_of(state)) == 3


def test_another_release_takes_the_place_of_the_staged_one(state: DeviceState) -> None:
    install(state, 1)
    stage(state, 2, epoch=2)
    stage(state, 3, epoch=3)
    assert set(secrets_of(state)) == {name(1), name(3)}


def test_stages_of_an_update(state: DeviceState) -> None:
    install(state, 1)
    stage(state, 2, epoch=2)
    assert [state.try_out(MODEL, name(2)) for _ in range(2)] == [1, 2]
    model = state.look().models[MODEL]
    assert (model.installations[name(2)].stage, model.tries, model.active) == (Stage.TRIAL, 2, name(1))
    state.give_up(MODEL, name(2), Quarantined(name(2), 1))
    model = state.look().models[MODEL]
    assert set(model.installations) == {name(1)}
    assert model.quarantine == (Quarantined(name(2), 1, signer("p").key),)
    with pytest.raises(RollbackError):
        state.try_out(MODEL, name(2))


def test_quarantine_has_room_for_so_many(state: DeviceState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_QUARANTINED", 2)
    for number, attempt in [(1, 1), (2, 1), (1, 2), (3, 1)]:
        stage(state, 9, epoch=4)
        state.give_up(MODEL, name(9), Quarantined(name(number), attempt))
    # What is not known any more says nothing.
    state.give_up(MODEL, name(9), Quarantined(name(4), 1))
    kept = state.look().models[MODEL].quarantine
    assert [(each.bundle, each.attempt) for each in kept] == [(name(1), 2), (name(3), 1)]


def test_what_something_newer_overtook_is_not_put_in_place(state: DeviceState) -> None:
    stage(state, 1, epoch=1)
    install(state, 2, epoch=2)
    reached = []
    with (
        pytest.raises(RollbackError, match="meanwhile"),
        state.committing(MODEL, name(1), EVERYBODY),
    ):
        reached.append("the block")
    assert not reached
    assert state.look().floor(MODEL, EVERYBODY).order.epoch == 2


def test_a_file_that_cannot_be_put_in_place_leaves_the_old_one_in_force(state: DeviceState) -> None:
    secret = install(state, 1)
    stage(state, 2, epoch=2)
    with (
        pytest.raises(StorageError),
        state.committing(MODEL, name(2), EVERYBODY, seen(4), time=lambda _: 9 * DAY),
    ):
        raise StorageError("disk full")
    after = state.look()
    assert (after.floor(MODEL, EVERYBODY).bundle, after.trust) == (name(1), ())
    assert secrets_of(state)[name(1)] == secret


def test_committing_destroys_only_what_the_verifier_vouches_for(state: DeviceState) -> None:
    first, second = Believing(frozenset({signer("a")})), Believing(frozenset({signer("b")}))
    for number, by, judge in [(1, "a", first), (2, "b", second)]:
        state.stage(MODEL, name(number), mark(number, number, by=by), judge)
        with state.committing(MODEL, name(number), judge):
            pass
    assert set(secrets_of(state)) == {name(1), name(2)}
    assert state.look().floor(MODEL, first).bundle == name(1)
    assert state.look().floor(MODEL, second).bundle == name(2)


@pytest.mark.parametrize(("module", "limit"), [(contents_json, "MOST_MODELS"), (state_file, "LARGEST_STATE")])
def test_a_state_that_could_not_be_read_again_is_not_written(
    state: DeviceState, monkeypatch: pytest.MonkeyPatch, module: Any, limit: str
) -> None:
    secret = install(state, 1)
    monkeypatch.setattr(module, limit, 1 if limit == "MOST_MODELS" else state.path.stat().st_size + 10)
    with pytest.raises(StorageError, match="no room"):
        state.stage("acme/other", name(2), mark(2, 1), EVERYBODY)
    assert secrets_of(state)[name(1)] == secret


def test_newest_trust_file_of_each_set_of_roots_is_known(state: DeviceState) -> None:
    install(state, 1)
    for each in (seen(3), seen(3), seen(1, "o")):
        state.see(each)
    with pytest.raises(RollbackError, match="trust file 2 is older than 3"):
        state.see(seen(2))
    assert numbers(state) == [3, 1]


def test_a_trust_file_is_remembered_with_what_it_installed(state: DeviceState) -> None:
    stage(state, 1, epoch=1)
    with state.committing(MODEL, name(1), EVERYBODY, seen(3)):
        pass
    assert numbers(state) == [3]
    stage(state, 2, epoch=2)
    reached = []
    with (
        pytest.raises(RollbackError, match="is older than 3"),
        state.committing(MODEL, name(2), EVERYBODY, seen(2)),
    ):
        reached.append("the block")
    assert not reached
    assert state.look().floor(MODEL, EVERYBODY).bundle == name(1)


def test_seeing_does_not_begin_a_state(state: DeviceState) -> None:
    assert state.see(seen(3), lambda _: 9 * DAY).trust
    assert not state.has_begun
    assert not state.path.exists()


def test_void_releases_count_for_nobody_who_says_so_and_for_everybody_else(state: DeviceState) -> None:
    install(state, 1, epoch=7)
    install(state, 2, epoch=700)
    judge = Believing(void=frozenset({name(2)}))
    assert state.look().floor(MODEL, judge).bundle == name(1)
    assert state.look().floor(MODEL, EVERYBODY).bundle == name(2)


def test_what_is_installed_below_void_releases_counts() -> None:
    void, low, own = frozenset(map(name, range(4))), name(9), signer("a")
    marks = tuple(Mark(own, ReleaseOrder(100 + each, 0), name(each), own.key) for each in range(4))
    marks = with_mark(marks, Mark(own, ReleaseOrder(8, 0), low, own.key))
    assert [mark.bundle for mark in marks] == [low, name(1), name(2), name(3)]
    assert floor_of(marks, MODEL, Believing(void=void)).bundle == low


def test_time_is_remembered_when_it_is_a_day_ahead(state: DeviceState) -> None:
    install(state, 1)
    state.see(seen(1))
    moments = []
    for moment in (DAY - 1, DAY, DAY + 5, 2 * DAY, 7):
        state.see(seen(1), lambda known, moment=moment: max(known, moment))  # type: ignore[misc]
        moments.append(state.look().time_for(seen(1)))
    assert moments == [0, DAY, DAY, 2 * DAY, 2 * DAY]


def test_there_is_room_for_so_many_sets_of_roots(state: DeviceState, monkeypatch: pytest.MonkeyPatch) -> None:
    install(state, 1)
    monkeypatch.setattr(contents_json, "MOST_ROOT_SETS", 1)
    state.see(seen(3))
    with pytest.raises(StorageError, match="another set of roots"):
        state.see(seen(1, "o"))
    assert numbers(state) == [3]


@pytest.mark.parametrize(("reason", "goes_on"), [(errno.EROFS, True), (errno.ENOSPC, False)])
def test_only_a_read_only_disk_lets_a_newer_trust_file_go_unremembered(
    state: DeviceState, monkeypatch: pytest.MonkeyPatch, reason: int, *, goes_on: bool
) -> None:
    install(state, 1)
    state.see(seen(3))

    opened = os.open

    def refuse(path: Any, flags: int, *mode: int, **where: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(reason, os.strerror(reason))
        return opened(path, flags, *mode, **where)

    with monkeypatch.context() as patch:
        # What the kernel answers when such a disk is to be written.
        patch.setattr(os, "open", refuse)
        with contextlib.nullcontext() if goes_on else pytest.raises(StorageError):
            state.see(seen(4))
        with pytest.raises(RollbackError):
            state.see(seen(2))
    assert numbers(state) == [3]


def test_another_key_of_the_device_inherits_everything_but_installations(state: DeviceState) -> None:
    install(state, 1, epoch=3)
    state.see(seen(4), lambda _: 9 * DAY)
    stage(state, 9, epoch=4)
    state.give_up(MODEL, name(9), Quarantined(name(9), 1))
    new = new_state()
    new.inherit(state.look())
    old, after = state.look(), new.look()
    assert after.models[MODEL].marks == old.models[MODEL].marks
    assert after.models[MODEL].quarantine == old.models[MODEL].quarantine
    assert (after.trust, after.time_for(seen(4))) == (old.trust, 9 * DAY)
    assert not after.models[MODEL].installations
    assert after.generation != old.generation
    with pytest.raises(UsageError, match="a state already"):
        new.inherit(state.look())


def body_of(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(base64.b64decode(json.loads(path.read_bytes())["body"]))
    return body


def every_member() -> Contents:
    """Returns contents that have something of everything."""
    state = Contents(counter=7, generation=bytes(range(16)), tuf={"root": TufRole(1, bytes(32))})
    state.adopted_by = frozenset({bytes(32), seen(3).voucher})
    state.see(seen(3), lambda _: 5)
    state.see(SeenTrust(4, frozenset({bytes(32)}), 1, set=bytes(32), documents={1: bytes(32)}), lambda _: 6)
    model = state.model(MODEL)
    for number in (1, 2):
        model.stage(name(number), contents.Installed(mark(number, number), bytes(32)))
        model.commit(MODEL, name(number), Believing(frozenset()))
    model.put_in_quarantine(Quarantined(name(3), 1, bytes(32)))
    return state


def test_a_state_that_was_adopted_counts_for_those_who_did(state: DeviceState) -> None:
    contents = Contents(adopted_by=frozenset({seen(3).voucher}))
    contents.check_adopted(seen(4))
    for others in (None, seen(4, "o")):
        with pytest.raises(RollbackError, match="newest state of this device is lost"):
            contents.check_adopted(others)
        Contents().check_adopted(others)


def test_secrets_are_not_shown(state: DeviceState) -> None:
    install(state, 1)
    shown = repr(state.look())
    for secret in secrets_of(state).values():
        assert repr(secret)[2:-1] not in shown


def test_a_state_has_room_for_so_many_who_adopt_it() -> None:
    contents = Contents(adopted_by=frozenset(bytes([number]) * 32 for number in range(1, MOST_ADOPTERS)))
    obeying._adopt(contents, frozenset({bytes(32)}))
    with pytest.raises(RefusedError, match="too many roots"):
        obeying._adopt(contents, frozenset({b"\xff" * 32}))


def test_everything_that_is_remembered_comes_back() -> None:
    state = every_member()
    assert contents_json.from_bytes(contents_json.to_bytes(state)) == state


def paths_in(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, list):
        return [each for index, item in enumerate(value) for each in paths_in(item, (*path, index))]
    if isinstance(value, dict):
        return [path, *(each for key, item in value.items() for each in paths_in(item, (*path, key)))]
    return []


OBJECTS = paths_in(json.loads(contents_json.to_bytes(every_member())))


@pytest.mark.parametrize("path", OBJECTS, ids=str)
def test_an_unknown_member_anywhere_is_refused(path: tuple[str | int, ...]) -> None:
    # What a newer version remembers must not be forgotten by an older one.
    body: Any = json.loads(contents_json.to_bytes(every_member()))
    place = body
    for step in path:
        place = place[step]
    for member, value in [("newer", 1), ("ext", {})]:
        place[member] = value
        with pytest.raises(MalformedError, match=r"not known to this version|would be forgotten"):
            contents_json.from_bytes(json.dumps(body, separators=(",", ":"), sort_keys=True).encode())
        del place[member]


@pytest.mark.parametrize("path", OBJECTS, ids=str)
def test_every_member_is_mandatory(path: tuple[str | int, ...]) -> None:
    original: Any = json.loads(contents_json.to_bytes(every_member()))
    place = original
    for step in path:
        place = place[step]
    for member in set(place) - {"root", "subject"}:
        body = json.loads(json.dumps(original))
        there = body
        for step in path:
            there = there[step]
        del there[member]
        with pytest.raises(MalformedError):
            contents_json.from_bytes(json.dumps(body, separators=(",", ":"), sort_keys=True).encode())


def test_the_state_is_where_the_public_key_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)
    public = b"a public key"
    places = set()
    for home in ("one", "two"):
        monkeypatch.setenv("HOME", str(tmp_path / home))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / home / "state"))
        places.add(state_path(public))
    assert len(places) == 1
    assert tmp_path not in places.pop().parents


@pytest.mark.parametrize(("account", "folder"), [(0, SYSTEM_FOLDER), (2**31 - 5, SYSTEM_FOLDER)])
def test_root_and_nameless_accounts_keep_states_with_the_system(
    monkeypatch: pytest.MonkeyPatch, account: int, folder: Path
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setattr(os, "geteuid", lambda: account)
    assert state_path(b"").parent == folder


def test_an_account_keeps_states_in_its_own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.delenv(FOLDER_VARIABLE)
    entry = next(each for each in pwd.getpwall() if each.pw_uid != 0)
    monkeypatch.setattr(os, "geteuid", lambda: entry.pw_uid)
    home = Path(pwd.getpwuid(entry.pw_uid).pw_dir)
    assert state_path(b"").parent == home / ".local" / "state" / "modelkeep"


def test_a_fleets_device_has_a_state_by_its_public_value(tmp_path: Path) -> None:
    with contextlib.closing(FleetDevice.derive(bytearray(32), "pi-17")) as device:
        state = Identity(device).device_state()
        assert state is not None
        assert state.path.name.startswith(state.device.hex())


def test_a_state_that_never_was_this_keys_is_refused(state: DeviceState) -> None:
    install(state, 1)
    write_state(state.path, HpkeHandle(ec.generate_private_key(ec.SECP256R1())).local_key(), Contents())
    with pytest.raises(Exception, match="changed by somebody else"):
        state.look()


def test_a_device_that_remembers_nothing_has_nothing_to_forget(state: DeviceState) -> None:
    assert state.retire() == 0
    assert not state.has_begun
    install(state, 1)
    assert (state.retire(), state.retire()) == (1, 0)


@pytest.mark.parametrize("name", ["models", "tuf"])
def test_nothing_stands_there_twice(name: str) -> None:
    body: Any = json.loads(contents_json.to_bytes(every_member()))
    body[name] += body[name]
    with pytest.raises(MalformedError):
        contents_json.from_bytes(json.dumps(body, separators=(",", ":"), sort_keys=True).encode())
