"""Any history of installing, opening, trusting, and of an attacker who edits files, against an oracle.

The oracle, `support.floor_model`, says what may be opened. A device without a counter forgets exactly what
its oracle forgets when old files come back; one with a counter refuses everything until they are gone.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelkeep.device import contents_json
from modelkeep.device.contents import Contents, Installed, Stage
from modelkeep.device.marks import Mark
from modelkeep.device.obeying import obey
from modelkeep.device.seen_trust import SeenTrust
from modelkeep.device.state import DeviceState, unchanged
from modelkeep.errors import KeepError
from modelkeep.release_order import ReleaseOrder
from modelkeep.signer_id import SignerId
from modelkeep.trust.ticket import Ticket, VerifiedTicket, Void
from support.floor_model import ModelDevice, ModelRelease, ModelTrust, RefusedByModelError
from support.paper import MODEL, CrashError, PaperCounter, name, new_state

SIGNERS = "abc"
BROKEN = -1
OWN, STRANGERS = "r", "s"


@dataclass(frozen=True)
class Judging:
    """A trust file as the real device sees it."""

    trust: ModelTrust

    def vouches(self, model: str, signer: SignerId) -> bool:
        return signer.key[:1].decode() in self.trust.publishers

    def floor(self, model: str) -> ReleaseOrder | None:
        return None if self.trust.floor is None else ReleaseOrder(*self.trust.floor)

    @property
    def void(self) -> frozenset[bytes]:
        return frozenset(map(name, self.trust.void))

    @property
    def seen(self) -> SeenTrust:
        return SeenTrust(self.trust.number, frozenset({key_of(self.trust.roots)}), 1)


def key_of(letter: str) -> bytes:
    return letter.encode() * 32


def mark_of(release: ModelRelease, trust: ModelTrust) -> Mark:
    signer, order = SignerId(key_of(release.signer)), ReleaseOrder(*release.place)
    return Mark(signer, order, name(release.bundle), Judging(trust).seen.voucher)


def real_ticket(contents: Contents, device: bytes, bundle: int, by: str) -> VerifiedTicket:
    """Returns a ticket that makes a bundle void, signed by the root or the publisher of that letter."""
    ticket = Ticket(device, contents.generation, (Void(name(bundle)),))
    return VerifiedTicket(ticket, frozenset({key_of(by)}))


def accepted(trust: ModelTrust, release: ModelRelease) -> None:
    """Does what a verifier does before the device is asked."""
    if not trust.accepts(release):
        raise KeepError("untrusted")


def real_open(state: DeviceState, release: ModelRelease, trust: ModelTrust, *, installed: bool) -> None:
    """Does what an opening does, in its order."""
    judge = Judging(trust)
    contents = state.see(judge.seen)
    accepted(trust, release)
    mark = mark_of(release, trust)
    contents.check(MODEL, mark.order, mark.bundle, judge)
    known = contents.model(MODEL).installations.get(name(release.bundle))
    if installed and (known is None or known.stage is not Stage.CURRENT):
        raise KeepError("not installed")


def real_commit(state: DeviceState, release: ModelRelease, trust: ModelTrust) -> None:
    """Does what installing does, in its order."""
    judge, bundle = Judging(trust), name(release.bundle)
    real_open(state, release, trust, installed=False)
    state.stage(MODEL, bundle, mark_of(release, trust), judge)
    with state.committing(MODEL, bundle, judge, judge.seen):
        pass


def outcome(work: Callable[[], object]) -> bool:
    """Returns whether something was accepted."""
    try:
        work()
    except (KeepError, RefusedByModelError):
        return False
    return True


class History(RuleBasedStateMachine):
    """A device, its publishers, and an attacker who has its disk."""

    counts = False

    @initialize()
    def begin(self) -> None:
        self.counter = PaperCounter() if self.counts else None
        self.state = new_state(self.counter)
        self.model = ModelDevice()
        self.trust = ModelTrust(1, frozenset(SIGNERS))
        self.old_trust = self.trust
        self.strangers = ModelTrust(1, frozenset(SIGNERS), roots=STRANGERS)
        self.kept: list[tuple[dict[str, bytes], ModelDevice, int | None]] = []
        self.broken = False

    def teardown(self) -> None:
        if hasattr(self, "state"):
            shutil.rmtree(self.state.path.parent, ignore_errors=True)

    releases = st.builds(
        ModelRelease,
        st.sampled_from(SIGNERS),
        st.tuples(st.integers(1, 3), st.integers(0, 2)),
        st.integers(1, 9),
    )

    def _file(self, which: str) -> ModelTrust:
        return {"own": self.trust, "old": self.old_trust, "strangers": self.strangers}[which]

    files = st.sampled_from(["own", "own", "old", "strangers"])

    @rule(release=releases, which=files)
    def install(self, release: ModelRelease, which: str) -> None:
        trust = self._file(which)
        self._agree(
            lambda: real_commit(self.state, release, trust),
            lambda model: model.commit(release, trust),
            begins=True,
        )

    @rule(release=releases, installed=st.booleans(), which=files)
    def open(self, release: ModelRelease, which: str, *, installed: bool) -> None:
        trust = self._file(which)
        asked = ModelDevice.open_installation if installed else ModelDevice.check
        self._agree(
            lambda: real_open(self.state, release, trust, installed=installed),
            lambda model: asked(model, release, trust),
        )

    @rule(bundle=st.integers(1, 9), by=st.sampled_from([OWN, STRANGERS, *SIGNERS]))
    def take_back(self, bundle: int, by: str) -> None:
        """A ticket, by roots, a stranger's roots, or a publisher, for whom nothing counted."""

        def obey() -> None:
            contents = self.state.look()
            self.state.obey(real_ticket(contents, self.state.device, bundle, by))

        self._agree(obey, lambda model: model.take_back(bundle, by))

    @rule(void=st.sets(st.integers(1, 9), max_size=2))
    def next_file_of_strangers(self, void: set[int]) -> None:
        number, every = self.strangers.number + 1, self.strangers.void | void
        self.strangers = replace(self.strangers, number=number, void=every)

    @rule(release=releases)
    def cut_off(self, release: ModelRelease) -> None:
        """Power goes while the file takes its place: the release does not count yet."""
        if not outcome(lambda: self.model.copy().commit(release, self.trust)) or self.broken:
            return
        had_begun = self.state.has_begun
        judge, bundle = Judging(self.trust), name(100 + release.bundle)
        self.state.see(judge.seen)
        self.state.stage(MODEL, bundle, mark_of(release, self.trust), judge)
        with suppress(CrashError), self.state.committing(MODEL, bundle, judge, judge.seen):
            raise CrashError
        if had_begun:
            self.model.see(self.trust)

    @rule(dead=st.sampled_from(SIGNERS), floors=st.booleans(), void=st.sets(st.integers(1, 9), max_size=2))
    def next_trust_file(self, dead: str, void: set[int], *, floors: bool) -> None:
        left = self.trust.publishers - {dead}
        floor = self.model.floor(self.trust)[0] if floors else self.trust.floor
        self.old_trust = self.trust
        self.trust = ModelTrust(
            self.trust.number + 1, left or self.trust.publishers, self.trust.void | void, floor
        )

    @rule()
    def keep_the_disk(self) -> None:
        number = BROKEN if self.broken else self._number
        self.kept.append((self._files(), self.model.copy(), number))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def bring_the_disk_back(self, data: st.DataObject) -> None:
        files, model, number = data.draw(st.sampled_from(self.kept))
        self._replace_files(files)
        self._after_meddling(model, is_newest=number == self._number)

    @rule()
    def delete_the_state(self) -> None:
        self._replace_files({})
        self._after_meddling(ModelDevice(), is_newest=self._number is None)

    @precondition(lambda self: self.state.path.exists())
    @rule(place=st.floats(0, 0.999))
    def flip_a_bit(self, place: float) -> None:
        before = self._files()
        data = bytearray(self.state.path.read_bytes())
        data[int(place * len(data))] ^= 1
        self.state.path.write_bytes(data)
        assert not outcome(self.state.look), "somebody else's state was believed"
        self._replace_files(before)

    @rule()
    def take_the_lock_away(self) -> None:
        for path in self.state.path.parent.glob("*.lock"):
            path.unlink()

    @property
    def _number(self) -> int | None:
        return None if self.counter is None else self.counter.number

    def _agree(
        self, real: Callable[[], object], asked: Callable[[ModelDevice], None], *, begins: bool = False
    ) -> None:
        if self.broken:
            assert not outcome(real), "an old state counted beside a counter"
            return
        has_begun = self.state.has_begun
        model = self.model.copy()
        expected = outcome(lambda: asked(model))
        assert outcome(real) == expected
        # Opening does not begin a state: what it saw is forgotten then.
        if has_begun or (begins and expected):
            self.model = model

    def _after_meddling(self, model: ModelDevice, *, is_newest: bool) -> None:
        self.broken = self.counts and not is_newest
        if not self.counts:
            self.model = model.copy()

    def _files(self) -> dict[str, bytes]:
        folder = self.state.path.parent
        return {path.name: path.read_bytes() for path in folder.glob("*.state*")} if folder.exists() else {}

    def _replace_files(self, files: dict[str, bytes]) -> None:
        folder = self.state.path.parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for each, data in files.items():
            (folder / each).write_bytes(data)


class CountingHistory(History):
    """The same with hardware that counts."""

    counts = True


COUNTS = [pytest.param(History, id="no counter"), pytest.param(CountingHistory, id="counter")]


def play(machine: type[History], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, histories: int) -> None:
    folders = itertools.count()
    # Disks that forget at once are as good here, and a hundred times faster.
    shared = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    base = shared / tmp_path.name

    class InItsOwnFolder(machine):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            monkeypatch.setenv("MODELKEEP_STATE", str(base / str(next(folders))))
            super().__init__()

    try:
        run_state_machine_as_test(
            InItsOwnFolder,
            settings=settings(
                max_examples=histories,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        shutil.rmtree(base, ignore_errors=True)


@pytest.mark.parametrize("machine", COUNTS)
def test_some_histories_agree_with_the_oracle(
    machine: type[History], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(machine, monkeypatch, tmp_path, 150)


@pytest.mark.slow
@pytest.mark.parametrize("machine", COUNTS)
def test_ten_thousand_histories_agree_with_the_oracle(
    machine: type[History], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(machine, monkeypatch, tmp_path, 10_000)


FIRST, SECOND, THEIRS = (
    ModelRelease("a", (1, 1), 1),
    ModelRelease("a", (1, 2), 2),
    ModelRelease("b", (2, 0), 3),
)
BOTH = ModelTrust(1, frozenset("ab"))
WITHOUT_B = ModelTrust(2, frozenset("a"), floor=(1, 1))
THEIR_FILE = ModelTrust(1, frozenset("ab"), frozenset({2}), roots=STRANGERS)
FILES = (BOTH, WITHOUT_B, THEIR_FILE)


@dataclass(frozen=True)
class World:
    """Both devices, and what the attacker has kept of each."""

    real: bytes
    model: ModelDevice
    kept: tuple[bytes, ModelDevice]
    trust: ModelTrust = BOTH


def committed(data: bytes, release: ModelRelease, trust: ModelTrust) -> bytes:
    contents, judge, bundle = contents_json.from_bytes(data), Judging(trust), name(release.bundle)
    contents.see(judge.seen, unchanged)
    accepted(trust, release)
    mark = mark_of(release, trust)
    contents.check(MODEL, mark.order, mark.bundle, judge)
    contents.model(MODEL).stage(bundle, Installed(mark, bytes(32)))
    contents.model(MODEL).commit(MODEL, bundle, judge)
    return contents_json.to_bytes(contents)


def taken_back(data: bytes, release: ModelRelease, by: str) -> bytes:
    contents = contents_json.from_bytes(data)
    obey(contents, bytes(32), real_ticket(contents, bytes(32), release.bundle, by))
    return contents_json.to_bytes(contents)


Step = tuple[Callable[[ModelDevice], None], Callable[[bytes], bytes]]


def commit_step(release: ModelRelease, trust: ModelTrust) -> Step:
    return (lambda model: model.commit(release, trust)), (lambda data: committed(data, release, trust))


def ticket_step(release: ModelRelease, by: str) -> Step:
    return (lambda model: model.take_back(release.bundle, by)), (lambda data: taken_back(data, release, by))


def steps_from(world: World) -> Iterator[Step]:
    """Gives what may be done to a device: to the oracle, and to the real one."""
    for release in (FIRST, SECOND, THEIRS):
        yield commit_step(release, world.trust)
        yield from (ticket_step(release, by) for by in (OWN, STRANGERS))


def after(world: World) -> Iterator[World]:
    """Gives what each possible step makes of a world; refusals that only one of both gives are found here."""
    for asked, done in steps_from(world):
        model = world.model.copy()
        real: list[bytes] = []
        expected = outcome(lambda: asked(model))  # noqa: B023
        found = outcome(lambda: real.append(done(world.real)))  # noqa: B023
        assert found == expected, world
        if found:
            yield replace(world, real=real[0], model=model)
    yield replace(world, kept=(world.real, world.model))
    yield replace(world, real=world.kept[0], model=world.kept[1])
    yield from (replace(world, trust=trust) for trust in FILES if trust is not world.trust)


def openings(world: World) -> None:
    """Holds every opening of every release by every trust file against the oracle."""
    for release, trust in itertools.product((FIRST, SECOND, THEIRS), FILES):
        judge, mark = Judging(trust), mark_of(release, trust)

        def real(release: ModelRelease = release, trust: ModelTrust = trust, judge: Any = judge) -> None:
            contents = contents_json.from_bytes(world.real)
            contents.see(judge.seen, unchanged)
            accepted(trust, release)
            contents.check(MODEL, mark.order, mark.bundle, judge)  # noqa: B023

        model = world.model.copy()
        assert outcome(real) == outcome(lambda: model.check(release, trust)), (world, release)  # noqa: B023


def every_history(steps: int) -> int:
    """Walks through every history of so many steps; histories that lead to one world go on as one."""
    nothing = contents_json.to_bytes(Contents()), ModelDevice()
    worlds = {repr(world): world for world in [World(*nothing, nothing)]}
    seen = dict(worlds)
    for _ in range(steps):
        following = {repr(each): each for world in worlds.values() for each in after(world)}
        worlds = {key: each for key, each in following.items() if key not in seen}
        seen |= worlds
        for world in worlds.values():
            openings(world)
    return len(seen)


@pytest.mark.parametrize("steps", [5, pytest.param(7, marks=pytest.mark.slow)])
def test_every_history_of_so_many_steps_agrees_with_the_oracle(steps: int) -> None:
    assert every_history(steps) > 500
