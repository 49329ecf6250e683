"""What a device remembers, at the edges: which of two is newer, what goes, and what a crash left."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modelkeep.bundle.rollback import Remembered
from modelkeep.device import contents as contents_module
from modelkeep.device.contents import DAY, Contents, Installed, ModelState, Quarantined, Stage
from modelkeep.device.marks import Floor, floor_of, with_mark
from modelkeep.device.obeying import newest_of_each, obey
from modelkeep.device.seen_trust import SeenTrust, TrustEntry, time_for, voucher_for, with_seen, with_time
from modelkeep.device.tuf_roles import TufRole, has_new_root, name_of, with_roles
from modelkeep.errors import RefusedError, RollbackError, StorageError
from modelkeep.release_order import ReleaseOrder
from modelkeep.trust.ticket import Act, Adopt, ForgetQuarantine, SetTime, Ticket, VerifiedTicket, Void
from support.paper import (
    EVERYBODY,
    MODEL,
    Believing,
    CrashError,
    PaperCounter,
    install,
    mark,
    name,
    new_state,
    signer,
    stage,
)

ONE, OTHER = frozenset({b"a" * 32, b"b" * 32}), frozenset({b"b" * 32, b"c" * 32})


def installed(number: int, epoch: int, at: Stage = Stage.STAGED) -> Installed:
    return Installed(mark(number, epoch), bytes(32), at)


def test_a_root_is_news_when_it_is_another_one() -> None:
    root, other = TufRole(1, bytes(32)), TufRole(2, bytes(32))
    assert name_of(bytes(range(32)), "root") == "0001020304050607/root"
    assert has_new_root({}, {"a/root": root})
    assert has_new_root({"a/root": root}, {"a/root": other, "a/timestamp": root})
    assert not has_new_root({"a/root": root}, {"a/root": root, "a/timestamp": other})
    assert not has_new_root({}, {"a/timestamp": other})
    with pytest.raises(RollbackError, match="root has version 1, and this device has seen 2"):
        with_roles({"a/root": other}, {"a/root": TufRole(1, bytes([1]) * 32)})
    # New keys of another role begin where their owner likes; known ones never go back.
    assert with_roles({"a/snapshot": other}, {"a/snapshot": TufRole(1, b"k")})["a/snapshot"].version == 1
    with pytest.raises(RollbackError, match="snapshot has version 1"):
        with_roles({"a/snapshot": other}, {"a/snapshot": root})


def test_as_many_installations_as_there_is_room_for_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_module, "MOST_INSTALLATIONS", 2)
    state = ModelState(tries=3)
    for number in (1, 2):
        state.stage(name(number), installed(number, 5))
    assert list(state.installations) == [name(1), name(2)]
    assert state.tries == 0
    state.set_stage(name(1), Stage.CURRENT)
    state.active = name(1)
    state.stage(name(3), installed(3, 5))
    assert list(state.installations) == [name(1), name(3)]
    state.drop(name(3))
    assert state.active == name(1)
    state.drop(name(1))
    assert state == ModelState()


def test_a_current_one_stays_when_an_older_one_is_staged_and_goes_when_a_newer_one_counts() -> None:
    state = ModelState()
    state.stage(name(1), installed(1, 5, Stage.CURRENT))
    state.stage(name(2), installed(2, 4))
    state.stage(name(3), installed(3, 6))
    assert list(state.installations) == [name(1), name(3)]
    state.stage(name(4), installed(4, 6))
    state.tries = 2
    state.commit(MODEL, name(3), Believing(frozenset()))
    assert list(state.installations) == [name(1), name(3), name(4)]
    state.commit(MODEL, name(3), EVERYBODY)
    assert list(state.installations) == [name(3), name(4)]
    assert (state.active, state.tries) == (name(3), 0)
    # Its file is about to be written over, whatever it is worth.
    state.stage(name(5), installed(5, 4), replaced=name(3))
    assert (list(state.installations), state.active) == ([name(4), name(5)], None)


def test_an_attempt_that_failed_is_not_tried_again_and_a_later_one_is() -> None:
    state, failed = ModelState(), mark(1, 5)
    state.put_in_quarantine(Quarantined(failed.bundle, 2, failed.voucher))
    assert [state.is_in_quarantine(failed, attempt) for attempt in (1, 2, 3)] == [True, True, False]
    assert not state.is_in_quarantine(failed._replace(voucher=b"other"), 1)
    assert not state.is_in_quarantine(mark(2, 5), 1)
    state.put_in_quarantine(Quarantined(failed.bundle, 3, failed.voucher))
    state.put_in_quarantine(Quarantined(failed.bundle, 1, b"other"))
    assert [(each.attempt, each.voucher) for each in state.quarantine] == [(3, failed.voucher), (1, b"other")]


def test_the_floor_is_the_newest_that_counts() -> None:
    known = (mark(1, 5), mark(2, 7, by="q"), mark(3, 6))
    assert floor_of(known, MODEL, EVERYBODY) == Floor(ReleaseOrder(7, 0), name(2))
    assert floor_of(known, MODEL, Believing(frozenset({signer("p")}))) == Floor(ReleaseOrder(6, 0), name(3))
    assert floor_of(known, MODEL, Believing(void=frozenset({name(2)}))).bundle == name(3)
    assert floor_of((), MODEL, EVERYBODY) == Floor(ReleaseOrder(0, 0), None)
    # A floor at the place of what is installed lets nothing else stand there.
    same = Believing(floors={MODEL: ReleaseOrder(7, 0)})
    assert floor_of(known, MODEL, same).bundle == name(2)
    assert floor_of(known, MODEL, Believing(floors={MODEL: ReleaseOrder(8, 0)})).bundle is None


def test_so_many_marks_of_so_many_signers_are_kept() -> None:
    marks: tuple[object, ...] = ()
    for number in (3, 1, 5, 2, 4):
        marks = with_mark(marks, mark(number, number))  # type: ignore[arg-type]
    # The latest is kept, whatever its place.
    assert [each.order.epoch for each in marks] == [2, 3, 4, 5]  # type: ignore[attr-defined]
    known = tuple(mark(number, 1, by=chr(97 + number)) for number in range(15))
    full = with_mark(known, mark(99, 1))
    assert len(full) == 16
    assert with_mark(full, mark(98, 2))[-2:] == (mark(99, 1), mark(98, 2))
    with pytest.raises(StorageError, match="another signer"):
        with_mark(full, mark(97, 1, by="z"))


def test_loose_keys_count_for_who_shares_enough_of_them() -> None:
    entry = TrustEntry.of(SeenTrust(3, ONE, 2))
    assert (entry.roots, entry.roots_digest, entry.time) == (0, None, 0)
    assert entry.counts_for(SeenTrust(1, ONE, 2))
    assert entry.counts_for(SeenTrust(1, OTHER, 1))
    assert not entry.counts_for(SeenTrust(1, OTHER, 2))
    assert entry.is_of(SeenTrust(1, ONE, 2))
    for other in (SeenTrust(1, ONE, 1), SeenTrust(1, OTHER, 2), SeenTrust(1, ONE, 2, bytes(32))):
        assert not entry.is_of(other)
    chain = TrustEntry.of(SeenTrust(3, ONE, 2, bytes(32), {1: b"one", 2: b"two"}))
    assert (chain.roots, chain.roots_digest) == (2, b"two")
    assert chain.is_of(SeenTrust(9, OTHER, 1, bytes(32)))
    assert not chain.counts_for(SeenTrust(9, ONE, 2, bytes([1]) * 32))
    assert chain.counts_for(SeenTrust(9, OTHER, 1, bytes(32), {1: b"one", 2: b"two"}))
    with pytest.raises(RollbackError, match="end before document 2"):
        chain.counts_for(SeenTrust(9, ONE, 2, bytes(32), {1: b"one"}))
    with pytest.raises(RollbackError, match="two roots documents with number 2"):
        chain.counts_for(SeenTrust(9, ONE, 2, bytes(32), {1: b"one", 2: b"three"}))


def test_a_trust_file_raises_what_counts_for_its_readers_and_nothing_else() -> None:
    mine, shared = TrustEntry.of(SeenTrust(3, ONE, 1)), TrustEntry.of(SeenTrust(4, OTHER, 1))
    apart = TrustEntry.of(SeenTrust(9, frozenset({b"z" * 32}), 1))
    mine, shared, apart = with_time((mine, shared, apart), [shared], 50)
    assert [each.time for each in (mine, shared, apart)] == [0, 50, 0]
    seen = SeenTrust(5, ONE, 1)
    raised = with_seen((mine, shared, apart), seen)
    assert [each.number for each in raised] == [5, 5, 9]
    assert with_seen(raised, seen) == raised
    with pytest.raises(RollbackError, match="trust file 4 is older than 5"):
        with_seen(raised, seen._replace(number=4))
    # Its own time where it has one, and that of others who count for it where it has none.
    assert time_for((mine, shared), seen) == 0
    assert time_for((shared, apart), seen) == 50
    assert time_for((apart,), seen) == 0
    (first,) = with_seen((), seen._replace(number=0))
    assert (first.number, first.time) == (0, 0)
    begun = with_seen((shared,), seen)
    assert [(each.number, each.time) for each in begun] == [(5, 50), (5, 50)]
    assert voucher_for(seen, signer("p")) == seen.voucher
    assert voucher_for(None, signer("p")) == signer("p").key


def test_a_day_more_is_news_and_a_second_less_is_not() -> None:
    seen = SeenTrust(5, ONE, 1)
    contents = Contents()
    assert contents.see(seen, lambda _known: 100)
    assert not contents.see(seen, lambda known: known + DAY - 1)
    assert contents.time_for(seen) == 100 + DAY - 1
    assert contents.see(seen, lambda known: known + DAY)
    assert not contents.see(seen, lambda _known: 5)
    assert contents.time_for(seen) == 100 + 2 * DAY - 1
    assert contents.time_for(None) == 0


def test_a_change_that_a_crash_interrupted_is_finished_once() -> None:
    counter = PaperCounter()
    state = new_state(counter)
    install(state, 1)
    stage(state, 2, 2)
    counter.crash_after = True
    with pytest.raises(CrashError), state.committing(MODEL, name(2), EVERYBODY):
        pass
    counter.crash_after = False
    upcoming = state.path.with_name(f"{state.path.name}.next")
    assert upcoming.exists()
    assert state._store.settled(finish=False).counter == counter.number
    assert upcoming.exists()
    assert state.look().counter == counter.number
    assert not upcoming.exists()
    assert state.look_at_file().counter == counter.number


def test_one_installation_is_something_to_forget() -> None:
    state = new_state()
    install(state, 1)
    assert (state.retire(), state.look().models[MODEL].installations) == (1, {})
    before = state.look()
    assert (state.retire(), state.look()) == (0, before)
    assert before.models[MODEL].marks == (mark(1, 1),)


def test_what_is_put_in_place_when_the_power_goes_is_current() -> None:
    state = new_state(PaperCounter())
    install(state, 1)
    stage(state, 2, 2)
    with pytest.raises(CrashError), state.committing(MODEL, name(2), EVERYBODY):
        assert state.look_at_file().installed(MODEL, name(2)) is not None
        raise CrashError
    found = state.look().installed(MODEL, name(2))
    assert found is not None
    assert found.stage is Stage.CURRENT
    assert state.look().installed(MODEL, name(1)) is not None


def obeyed(contents: Contents, *acts: Act, signers: frozenset[bytes] = ONE, device: int = 1) -> Contents:
    ticket = Ticket(bytes([device]) * 32, contents.generation, acts)
    obey(contents, bytes([1]) * 32, VerifiedTicket(ticket, signers))
    return contents


def test_a_ticket_is_for_one_device_and_one_generation_of_its_state() -> None:
    contents = Contents(trust=(TrustEntry.of(SeenTrust(3, ONE, 2)),))
    with pytest.raises(RefusedError, match="for another device"):
        obeyed(contents, SetTime(5), device=2)
    with pytest.raises(RefusedError, match="another generation"):
        ticket = Ticket(bytes([1]) * 32, bytes([1]) * 16, (SetTime(5),))
        obey(contents, bytes([1]) * 32, VerifiedTicket(ticket, ONE))
    assert obeyed(contents, SetTime(5)).trust[0].time == 5
    # One of two roots is not enough of them, and a stranger is none.
    for signers in (frozenset({b"a" * 32}), frozenset({b"z" * 32})):
        with pytest.raises(RefusedError, match="nobody who signed the ticket sets the time"):
            obeyed(contents, SetTime(6), signers=signers)
        with pytest.raises(RefusedError, match="nobody who signed the ticket adopts a state"):
            obeyed(contents, Adopt(5, ()), signers=signers)


def test_a_ticket_takes_away_what_its_signers_answer_for() -> None:
    voucher, stranger = SeenTrust(3, ONE, 2).voucher, b"s" * 32
    contents = Contents(trust=(TrustEntry.of(SeenTrust(3, ONE, 2)),))
    state = contents.model(MODEL)
    mine, other = mark(1, 1)._replace(voucher=voucher), mark(1, 1, by="q")._replace(voucher=stranger)
    state.marks = (mine, other, mark(2, 2)._replace(voucher=voucher))
    for number, each in ((1, mine), (2, other)):
        state.installations[name(number)] = Installed(each, bytes(32), Stage.CURRENT)
    state.quarantine = (Quarantined(name(1), 1, voucher), Quarantined(name(2), 1, stranger))
    with pytest.raises(RefusedError, match="was not installed here"):
        obeyed(contents, Void(name(9)))
    with pytest.raises(RefusedError, match="shown"):
        obeyed(contents, Adopt(5, ((MODEL, ReleaseOrder(9, 0)),)))
    assert newest_of_each(contents) == ((MODEL, ReleaseOrder(2, 0)),)
    obeyed(contents, Void(name(1)))
    assert [each.voucher for each in state.marks] == [stranger, voucher]
    assert list(state.installations) == [name(2)]
    obeyed(contents, ForgetQuarantine())
    assert [each.voucher for each in state.quarantine] == [stranger]
    with pytest.raises(RefusedError, match="no release is in quarantine"):
        obeyed(contents, ForgetQuarantine())
    assert obeyed(contents, Adopt(5, ((MODEL, ReleaseOrder(2, 0)),))).adopted_by == frozenset({voucher})
    contents.check_adopted(SeenTrust(3, ONE, 2))
    for seen in (None, SeenTrust(3, OTHER, 2)):
        with pytest.raises(RollbackError, match="counts for others alone"):
            contents.check_adopted(seen)


def remembered(contents: Contents, failure: StorageError | None = None) -> tuple[Remembered, list[bytes]]:
    finished: list[bytes] = []

    class OnPaper(Remembered):
        def __init__(self) -> None:
            self.contents = contents

        @contextmanager
        def committing(
            self, model: str, installation: bytes, _signed_at: int | None = None
        ) -> Iterator[None]:
            finished.append(installation)
            if failure is not None:
                raise failure
            yield

    return OnPaper(), finished


def test_what_is_in_place_and_not_remembered_is_remembered_when_it_is_opened() -> None:
    contents = Contents()
    model = contents.model(MODEL)
    model.installations[name(1)] = installed(1, 5, Stage.CURRENT)
    model.installations[name(2)] = installed(2, 6, Stage.TRIAL)
    device, finished = remembered(contents)
    assert device.known(MODEL, name(1)) == model.installations[name(1)]
    assert finished == [name(1)]
    # What is on trial does not count before it has passed.
    device.known(MODEL, name(2), Stage.TRIAL)
    assert finished == [name(1)]
    for number, at in ((1, Stage.TRIAL), (2, Stage.CURRENT), (3, Stage.CURRENT)):
        with pytest.raises(RollbackError):
            device.known(MODEL, name(number), at)
    model.marks = (mark(1, 5),)
    device.known(MODEL, name(1))
    assert finished == [name(1)]
    model.marks = ()
    read_only, full = StorageError("read-only"), StorageError("full")
    read_only.__cause__, full.__cause__ = OSError(errno.EROFS, "no"), OSError(errno.ENOSPC, "no")
    remembered(contents, read_only)[0].known(MODEL, name(1))
    with pytest.raises(StorageError, match="full"):
        remembered(contents, full)[0].known(MODEL, name(1))
